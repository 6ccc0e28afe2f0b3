/**
 * Why a database cannot be opened, as a sentence for whoever runs the program, and whether waiting may help: in a cluster of containers the database is often
 * the last to stand, but a wrong password stays wrong. Codes of five characters are PostgreSQL's (SQLSTATE), the others are the system's and Node's.
 */
import { type PostgresPlace, shownPlace } from './store-url.ts';

export interface ConnectFailure {
  readonly sentence: string;
  /** It may be otherwise in a moment. */
  readonly isPassing: boolean;
}

const CAUSES_MAX = 8;

const PASSING: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing answers there (connection refused)',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  ETIMEDOUT: 'it does not answer in time',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
  ENOTFOUND: 'the name of the host is not known',
  EAI_AGAIN: 'the name of the host cannot be looked up at the moment',
  ENOENT: 'there is no socket',
  '25006': 'it can only be read (a standby?)',
  '53300': 'it takes no more connections',
  '57P01': 'it is being stopped',
  '57P02': 'it is restarting after a crash',
  '57P03': 'it is starting',
  '08001': 'it does not answer',
  '08006': 'the connection was cut',
};

function lasting({ user, database }: PostgresPlace): Readonly<Record<string, string>> {
  return {
    '28P01': `it refuses the password of user ${user}`,
    '28000': `it does not let user ${user} in from here (pg_hba.conf), or has no such user`,
    '3D000': `there is no database ${database}; make it with "createdb --owner ${user} ${database}"`,
    '42501': `user ${user} may not make tables there; make ${user} the owner: ALTER DATABASE ${database} OWNER TO ${user}`,
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed; name its authority with sslrootcert',
    SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is of an authority that is not known here; name that with sslrootcert',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is of an authority that is not known here; name that with sslrootcert',
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is of an authority that is not known here; name that with sslrootcert',
    CERT_HAS_EXPIRED: 'its certificate has expired',
    ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  };
}

/** pg says these without a code. */
const SPOKEN: readonly (readonly [pattern: RegExp, sentence: string, isPassing: boolean])[] = [
  [/does not support SSL/, 'it offers no TLS, which sslmode demands', false],
  [/client password must be a (non-empty )?string/, 'it asks for a password, and none is given', false],
  [/timeout expired|connection timeout/i, 'it does not answer in time', true],
  [/Connection terminated|connection .*closed/i, 'the connection was cut', true],
];

/** undefined: it is none of these; the error speaks for itself. */
export function connectFailure(error: unknown, place: PostgresPlace): ConnectFailure | undefined {
  const told = (why: string, isPassing: boolean): ConnectFailure => ({
    sentence: `the database ${shownPlace(place)} cannot be used: ${why}`,
    isPassing,
  });
  const reasons = causes(error);
  for (const reason of reasons) {
    const code = String((reason as { code?: unknown }).code);
    if (Object.hasOwn(PASSING, code)) return told(PASSING[code] as string, true);
    const last = lasting(place);
    if (Object.hasOwn(last, code)) return told(last[code] as string, false);
  }
  for (const reason of reasons) {
    const spoken = SPOKEN.find(([pattern]) => pattern.test(reason.message));
    if (spoken !== undefined) return told(spoken[1], spoken[2]);
  }
  return undefined;
}

/** The error itself, what it was made of, and what it gathers (one for each address of a host). */
function causes(error: unknown): Error[] {
  const found: Error[] = [];
  const waiting = [error];
  while (waiting.length > 0 && found.length < CAUSES_MAX) {
    const next = waiting.shift();
    if (!(next instanceof Error)) continue;
    found.push(next);
    if (next instanceof AggregateError) waiting.push(...(next.errors as unknown[]));
    waiting.push(next.cause);
  }
  return found;
}
