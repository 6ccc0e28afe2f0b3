/**
 * SMTP logins. A right password is remembered for a minute (as an HMAC under a key that lives and dies with the process, bound to the stored hash),
 * so that a thousand logins a second cost a thousand HMACs and one argon2; the same password arriving on many connections at once is
 * computed once. The login itself is read again after a moment: a deleted login or a changed password ends within two seconds.
 * An unknown login takes as long as a wrong password and gets the same answer.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { BoundedCache } from '#base/bounded-cache.ts';
import { InFlight } from '#base/in-flight.ts';
import type { Clock } from '#base/clock.ts';
import { normalizeDomain } from '#mail/domain.ts';
import { AppError, badParameter } from '#model/errors.ts';
import type { Principal } from '#model/principal.ts';
import type { AccountStore, Credential, Domain } from '#store/store.ts';
import { GuessGuard } from './guesses.ts';
import type { AccessStore } from '#store/access-store.ts';
import type { Standing, Standings } from './standing.ts';
import { createPasswords, makePassword, type Passwords } from './passwords.ts';

const ROW_MS = 1500;
const RIGHT_MS = 60_000;
const CACHE_MAX = 10_000;
const LOGIN_MAX = 320;
const PASSWORD_MAX = 1024;
const PASSWORD_MIN = 5;
/** As long as the answer to a first wrong password is kept back. */
const FIRST_DELAY_MS = 250;
/** Passwords of one address that are computed or wait at once: one guesser neither fills the queue nor gets many guesses in before the first is counted. */
const PER_ADDRESS_MAX = 16;

export interface LoginAttempt {
  readonly login: string;
  readonly password: string;
  /** Client's IP address. */
  readonly address: string;
}

export type LoginResult =
  | { readonly kind: 'ok'; readonly principal: Principal; readonly domain: Domain }
  /** `delayMs`: how long the answer should be kept back. */
  | { readonly kind: 'refused'; readonly error: AppError; readonly delayMs: number };

export interface Logins {
  /** Never rejects for what a client did; rejects when the store does. */
  authenticateLogin(attempt: LoginAttempt): Promise<LoginResult>;
  /** For connections that stay open: false once the login of this principal is deleted, disabled, or has another password. */
  stillStands(principal: Principal): Promise<boolean>;
  /** Creates the login, or replaces its password; resolves to the password that stands. `login`: "user@domain" or "user". */
  putCredential(domain: Domain, login: string, password: string | undefined, isSystem?: boolean): Promise<string>;
  deleteCredential(domain: Domain, login: string): Promise<boolean>;
  listCredentials(domainId: number): Promise<Credential[]>;
  /** Those that are not the system's; resolves to how many. */
  deleteCredentials(domain: Domain): Promise<number>;
  /** Nobody logs in with a disabled one. False: there is no such login. */
  setCredentialDisabled(domain: Domain, login: string, isDisabled: boolean): Promise<boolean>;
}

interface Known {
  readonly credential: Credential;
  readonly domain: Domain;
  readonly allows: Standing['allows'];
}

export interface LoginsDeps {
  readonly store: AccountStore;
  readonly access: AccessStore;
  readonly standings: Standings;
  readonly clock: Clock;
}

export function createLogins({ store, access, standings, clock }: LoginsDeps, passwords: Passwords = createPasswords()): Logins {
  const rows = new BoundedCache<string, Known | 'none'>({ max: CACHE_MAX, ttlMs: ROW_MS });
  const right = new BoundedCache<string, string>({ max: CACHE_MAX, ttlMs: RIGHT_MS });
  const reading = new InFlight<string, Known | undefined>();
  const proving = new InFlight<string, boolean>();
  /** The hash that each living principal was admitted with. */
  const admittedWith = new WeakMap<Principal, string>();
  /** Address → computations under way; an entry lives no longer than they do. */
  const busy = new Map<string, number>();
  const guard = new GuessGuard();
  const processKey = randomBytes(32);

  async function find(login: string): Promise<Known | undefined> {
    const cached = rows.get(login, clock.monotonicMs());
    if (cached !== undefined) return cached === 'none' ? undefined : cached;
    return reading.once(login, async () => {
      const known = await read(login);
      rows.set(login, known ?? 'none', clock.monotonicMs());
      return known;
    });
  }

  async function read(login: string): Promise<Known | undefined> {
    const credential = await store.credentialByLogin(login);
    if (credential === undefined || credential.isDisabled === true) return undefined;
    const [domain, standing] = await Promise.all([store.domainById(credential.domainId), standings.readStanding(credential.accountId)]);
    return domain === undefined || standing?.isOpen !== true ? undefined : { credential, domain, allows: standing.allows };
  }

  async function inTurn(address: string, compute: () => Promise<boolean>): Promise<boolean> {
    const others = busy.get(address) ?? 0;
    if (others >= PER_ADDRESS_MAX) throw new AppError('overloaded');
    busy.set(address, others + 1);
    try {
      return await compute();
    } finally {
      const left = (busy.get(address) ?? 1) - 1;
      if (left === 0) busy.delete(address);
      else busy.set(address, left);
    }
  }

  /** True and false are answers; too many waiting is an AppError. */
  function check(login: string, password: string, passwordHash: string, address: string): Promise<boolean> {
    const proof = createHmac('sha256', processKey).update(`${passwordHash}\0${password}`).digest('base64');
    if (right.get(login, clock.monotonicMs()) === proof) return Promise.resolve(true);
    return proving.once(proof, async () => {
      const isRight = await inTurn(address, () => passwords.verify(password, passwordHash));
      if (isRight) right.set(login, proof, clock.monotonicMs());
      return isRight;
    });
  }

  return {
    async authenticateLogin({ login: given, password, address }) {
      const login = spelling(given);
      const lockedMs = guard.lockedForMs(login, address, clock.monotonicMs());
      if (lockedMs > 0) {
        return { kind: 'refused', error: new AppError('too-many-guesses', { seconds: Math.ceil(lockedMs / 1000) }), delayMs: 1000 };
      }
      const isPossible = given.length <= LOGIN_MAX && password.length <= PASSWORD_MAX;
      const known = isPossible ? await find(login) : undefined;
      try {
        const isRight =
          known === undefined
            ? await inTurn(address, () => passwords.pretend(password.slice(0, PASSWORD_MAX)))
            : await check(login, password, known.credential.passwordHash, address);
        // The right password at the wrong place is told apart from a wrong one by nobody, and is no guess.
        if (known !== undefined && isRight && !known.allows(address))
          return { kind: 'refused', error: new AppError('bad-credentials'), delayMs: FIRST_DELAY_MS };
        if (known !== undefined && isRight) {
          guard.succeeded(login, address, clock.monotonicMs());
          const principal = principalOf(known.credential);
          admittedWith.set(principal, known.credential.passwordHash);
          return { kind: 'ok', principal, domain: known.domain };
        }
      } catch (error) {
        if (error instanceof AppError) return { kind: 'refused', error, delayMs: 0 };
        throw error;
      }
      const delayMs = guard.failed(login, address, clock.monotonicMs());
      return { kind: 'refused', error: new AppError('bad-credentials'), delayMs };
    },
    async stillStands(principal) {
      if (principal.kind !== 'credential' || principal.login === undefined) return true;
      const known = await find(principal.login);
      return known !== undefined && known.credential.passwordHash === admittedWith.get(principal);
    },
    async putCredential(domain, given, password = makePassword(), isSystem = false) {
      const login = checkedLogin(domain, given);
      checkPassword(password);
      const passwordHash = await passwords.hash(password);
      await store.putCredential({
        login,
        domainId: domain.id,
        accountId: domain.accountId,
        passwordHash,
        createdMs: clock.nowMs(),
        isSystem,
      });
      rows.delete(login);
      return password;
    },
    async deleteCredential(domain, given) {
      const login = checkedLogin(domain, given);
      const wasThere = await store.deleteCredential(domain.id, login);
      rows.delete(login);
      return wasThere;
    },
    listCredentials: (domainId) => store.listCredentials(domainId),
    async deleteCredentials(domain) {
      const count = await access.deleteCredentials(domain.id);
      rows.clear();
      return count;
    },
    async setCredentialDisabled(domain, given, isDisabled) {
      const login = checkedLogin(domain, given);
      const isThere = await access.setCredentialDisabled(domain.id, login, isDisabled);
      rows.delete(login);
      return isThere;
    },
  };
}

function principalOf(credential: Credential): Principal {
  return {
    accountId: credential.accountId,
    kind: 'credential',
    role: 'sending',
    domainId: credential.domainId,
    login: credential.login,
  };
}

/** Lower case, the domain in A-labels: one spelling for each login, so that tables and caches cannot be split by others. */
function spelling(given: string): string {
  const login = given.slice(0, LOGIN_MAX).trim().toLowerCase();
  const at = login.lastIndexOf('@');
  const domain = at < 0 ? undefined : normalizeDomain(login.slice(at + 1));
  return domain === undefined ? login : login.slice(0, at + 1) + domain;
}

/** Throws AppError 'bad-parameter'. */
export function checkPassword(password: string): void {
  if (password.length < PASSWORD_MIN || password.length > PASSWORD_MAX || /[\0\r\n]/.test(password)) {
    throw badParameter(`The password must have between ${PASSWORD_MIN} and ${PASSWORD_MAX} characters, without NUL and line breaks`);
  }
}

/** The whole login. Throws AppError 'bad-parameter' for what can be none of the domain's. */
export function checkedLogin(domain: Domain, given: string): string {
  const login = spelling(given.includes('@') ? given : `${given}@${domain.name}`);
  if (!login.endsWith(`@${domain.name}`)) throw badParameter(`The login ${login} is not at the domain ${domain.name}`);
  if (!/^[a-z0-9._+=-]{1,64}@/.test(login)) {
    throw badParameter('A login has letters, digits and . _ + = - before its @, at most 64 of them');
  }
  return login;
}
