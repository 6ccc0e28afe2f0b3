/**
 * /v2/x509/{domain}: the certificate of the host that links of a domain lead to. Obtained and renewed by itself once it is asked for; PUT tries one that failed
 * again. The path names the domain, or that host.
 */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { ownedDomain } from '#api/conventions/tenant.ts';
import type { ApiCertificates } from '#api/deps.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { x509Begun, x509Status } from '#api/shapes/x509.ts';
import { webPrefixOf } from '#accounts/dns-records.ts';
import type { Certificate } from '#store/certificate-store.ts';
import type { Domain } from '#store/store.ts';

const LABELS_MAX = 6;

export function x509(door: Door): Endpoint[] {
  const url = '/v2/x509/:domain';
  return [
    {
      method: 'GET',
      url: `${url}/status`,
      summary: 'The certificate of the host that links of the domain lead to',
      right: 'read',
      answer: x509Status,
      handle: (call) => status(door, call),
    },
    { method: 'POST', url, summary: 'Obtain one', right: 'write', answer: x509Begun, handle: (call) => begin(door, call) },
    {
      method: 'PUT',
      url,
      summary: 'Try one that failed or expired again',
      right: 'write',
      answer: x509Begun,
      handle: (call) => again(door, call),
    },
  ];
}

interface Place {
  readonly domain: Domain;
  readonly host: string;
  /** As the path has it. */
  readonly given: string;
}

const NOT_INITIATED = 'Please initiate x509 key pair generation at POST /v2/x509/{domain}';
const NOT_FOUND = json({ Description: 'x509 cert not found', message: 'x509 cert not found' }, 404);
const NOT_OFFERED = json(
  {
    Reason: 'certificates are not obtained here: the operator has not agreed to the terms of an authority (tls.acme)',
    message: 'Certificates are not obtained here',
  },
  402,
);

async function status(door: Door, call: Call): Promise<Answer> {
  const place = await placeOf(door, call);
  const found = place && (await door.deps.store.certificates.certificateOf(place.host));
  if (found === undefined) return described(404, NOT_INITIATED);
  const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');
  const { chain, error, notBeforeMs, notAfterMs, dueMs } = found;
  const dates = chain !== '' && { not_before: iso(notBeforeMs), not_after: iso(notAfterMs) };
  return json({
    status: stateOf(found, door.deps.clock.nowMs()),
    error,
    certificate: chain,
    host: found.name,
    ...dates,
    next_attempt: iso(dueMs),
  });
}

async function begin(door: Door, call: Call): Promise<Answer> {
  const place = await placeOf(door, call);
  if (place === undefined) return NOT_FOUND;
  const { certificates, store } = door.deps;
  if (certificates === undefined) return NOT_OFFERED;
  const found = await store.certificates.certificateOf(place.host);
  // That of a former owner of the name becomes this one's.
  if (found !== undefined && (found.domainId === place.domain.id || found.domainId === 0))
    return described(409, `x509 key pair generation has already been initiated for ${place.domain.name}`);
  const refused = await misled(certificates, place.host);
  if (refused !== undefined) return refused;
  await certificates.want(place.domain, place.host);
  return begun(place);
}

async function again(door: Door, call: Call): Promise<Answer> {
  const place = await placeOf(door, call);
  const found = place && (await door.deps.store.certificates.certificateOf(place.host));
  if (place === undefined || found === undefined) return NOT_FOUND;
  const { certificates, clock } = door.deps;
  if (certificates === undefined) return NOT_OFFERED;
  const state = stateOf(found, clock.nowMs());
  if (state === 'active') {
    const until = new Date(found.notAfterMs).toISOString().replace('T', ' ').slice(0, 19);
    return described(409, `x509 certificate is still valid until ${until} +0000 UTC`);
  }
  if (state === 'processing' || found.heldUntilMs > clock.nowMs())
    return described(429, `x509 key pair generation job is already in progress for ${place.domain.name}`);
  const refused = await misled(certificates, place.host);
  if (refused !== undefined) return refused;
  await certificates.hasten(place.host);
  return begun(place);
}

function stateOf({ chain, error, notAfterMs }: Certificate, nowMs: number): 'active' | 'expired' | 'processing' | 'error' {
  if (chain !== '') return notAfterMs > nowMs ? 'active' : 'expired';
  return error === '' ? 'processing' : 'error';
}

async function misled(certificates: ApiCertificates, host: string): Promise<Answer | undefined> {
  const elsewhere = await certificates.leadsElsewhere(host);
  if (elsewhere === undefined) return undefined;
  return json({ Reason: 'invalid CNAME record', message: `invalid CNAME record: ${elsewhere}` }, 400);
}

function begun({ given }: Place): Answer {
  return json({ message: 'Initiated x509 key pair generation', location: `/v2/x509/${given}/status` }, 202);
}

/** Clients of the hosted service read `Description`, all others here `message`. */
function described(code: number, text: string): Answer {
  return json({ Description: text, message: text }, code);
}

/** undefined: neither a domain of the caller nor its host. */
async function placeOf(door: Door, { principal, param }: Call): Promise<Place | undefined> {
  // One client has a brace too many in its path.
  const given = param('domain').replace(/\}$/, '').toLowerCase();
  for (let name = given, i = 0; i < LABELS_MAX && name.includes('.'); i++, name = name.slice(name.indexOf('.') + 1)) {
    const domain = await ownedDomain(door.deps.accounts, principal, name);
    const host = domain && `${webPrefixOf(domain)}.${domain.name}`;
    if (domain !== undefined && host !== undefined && (name === given || host === given)) return { domain, host, given };
  }
  return undefined;
}
