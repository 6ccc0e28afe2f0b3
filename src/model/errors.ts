/**
 * The one catalogue of what a caller can do wrong (or we cannot do now), with the answer in both protocols.
 * Codes are never reused or renamed. A door turns an `AppError` into its protocol's form; it never shows a stack.
 */
export interface ErrorEntry {
  readonly http: number;
  /** SMTP reply code and enhanced status code (RFC 3463). */
  readonly smtp: readonly [code: number, enhanced: string];
  /** The sentence, with {name} where a detail goes. */
  readonly text: string;
}

export const ERRORS = {
  // authentication and rights
  unauthenticated: { http: 401, smtp: [530, '5.7.0'], text: 'Authentication required' },
  'bad-credentials': { http: 401, smtp: [535, '5.7.8'], text: 'Authentication failed' },
  'too-many-guesses': { http: 429, smtp: [421, '4.7.0'], text: 'Too many failed logins; try again in {seconds} seconds' },
  'role-forbids': { http: 403, smtp: [550, '5.7.1'], text: 'This key may not do that; use a key with the role {role}' },
  'operator-only': {
    http: 403,
    smtp: [550, '5.7.1'],
    text: 'This belongs to the whole installation; use an admin key of the account that the first start made',
  },
  'account-disabled': { http: 403, smtp: [550, '5.7.1'], text: 'The account is disabled' },
  'sending-disabled': { http: 403, smtp: [550, '5.7.1'], text: 'The account is not allowed to send: sending is disabled for it' },
  'feature-disabled': { http: 403, smtp: [550, '5.7.1'], text: 'The account is not allowed to do that: {feature} is disabled for it' },
  'no-users-key': { http: 403, smtp: [550, '5.7.1'], text: 'Incompatible key for this endpoint' },
  'too-many-keys': { http: 403, smtp: [550, '5.7.1'], text: 'could not create key, account limit reached' },
  'sandbox-recipient': {
    http: 403,
    smtp: [550, '5.7.1'],
    text: 'Domain {domain} is not allowed to send: Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in Account Settings.',
  },
  'cross-site': { http: 403, smtp: [550, '5.7.1'], text: 'Requests from pages of other sites are refused' },
  'sender-not-allowed': {
    http: 403,
    smtp: [550, '5.7.1'],
    text: 'The sender domain {domain} does not belong to this account; add it, or send from a domain of yours',
  },
  'domain-disabled': { http: 403, smtp: [550, '5.7.1'], text: 'Domain {domain} is not allowed to send: the domain is disabled' },
  'domain-unverified': {
    http: 403,
    smtp: [550, '5.7.1'],
    text: 'Domain {domain} is not allowed to send: The domain is unverified and requires DNS configuration. Show the records with "postrider domain verify {domain}".',
  },
  'sending-ip-not-yours': { http: 403, smtp: [550, '5.7.1'], text: "Rejected: IP {ip} can't be used to send the message" },
  'sending-pool-unknown': { http: 403, smtp: [550, '5.7.1'], text: "Rejected: IP pool {pool} can't be used to send the message" },
  // objects that are not there, for this caller
  'domain-not-found': { http: 404, smtp: [550, '5.1.8'], text: 'Domain not found: {domain}' },
  'message-not-found': { http: 404, smtp: [550, '5.1.0'], text: 'Message not found' },
  'not-found': { http: 404, smtp: [550, '5.1.0'], text: 'Not found' },
  // the submission
  'bad-parameter': { http: 400, smtp: [501, '5.5.4'], text: '{reason}' },
  'bad-content': { http: 400, smtp: [550, '5.6.0'], text: '{reason}' },
  'bad-address': { http: 400, smtp: [553, '5.1.3'], text: '{field} parameter is not a valid address. please check documentation' },
  'too-many-recipients': { http: 400, smtp: [452, '4.5.3'], text: 'Too many recipients, max is {max}' },
  'message-too-large': { http: 413, smtp: [552, '5.3.4'], text: 'Message is larger than {max} bytes' },
  'bare-newline': {
    http: 400,
    smtp: [550, '5.6.0'],
    text: 'The message has a bare CR or LF; lines end with CRLF (RFC 5321 section 2.3.8)',
  },
  'line-too-long': { http: 400, smtp: [550, '5.6.0'], text: 'The message has a line longer than {max} octets' },
  'mail-loop': { http: 400, smtp: [554, '5.4.6'], text: 'Too many Received headers ({count}): the message is in a loop' },
  'delivery-loop': { http: 400, smtp: [554, '5.4.6'], text: 'The message was delivered to {address} before: it is in a loop' },
  'no-such-recipient': { http: 404, smtp: [550, '5.1.1'], text: 'There is no such recipient here' },
  'not-wanted-here': { http: 403, smtp: [550, '5.7.1'], text: '{reason}' },
  'template-not-found': { http: 400, smtp: [550, '5.6.0'], text: 'template {name} not found' },
  'template-failed': { http: 400, smtp: [550, '5.6.0'], text: 'template {name} cannot be rendered: {reason}' },
  'not-a-report': { http: 400, smtp: [550, '5.7.1'], text: 'This address takes reports about delivered mail, and no letters' },
  'idempotency-conflict': { http: 409, smtp: [550, '5.5.0'], text: 'This Idempotency-Key was used with another request' },
  'not-scheduled': {
    http: 409,
    smtp: [550, '5.5.0'],
    text: 'Nothing of it is scheduled any more: it is being delivered, or was, or was taken back',
  },
  'already-exists': { http: 400, smtp: [550, '5.5.0'], text: '{what} already exists' },
  // not now
  'store-unavailable': { http: 503, smtp: [451, '4.3.0'], text: 'The message cannot be stored at the moment; try again later' },
  'store-full': { http: 503, smtp: [452, '4.3.1'], text: 'Insufficient storage; try again later' },
  overloaded: { http: 503, smtp: [451, '4.3.2'], text: 'Too much is being received at the moment; try again later' },
  'not-accepting': {
    http: 503,
    smtp: [421, '4.3.2'],
    text: 'This server has been asked to take no mail for now; use another one, or try again later',
  },
  'not-served': { http: 503, smtp: [421, '4.3.2'], text: 'This server does not serve this; another one of the installation does' },
  'delivery-not-settled': {
    http: 503,
    smtp: [451, '4.3.0'],
    text: 'The message that this is about is being delivered at this moment; try again later',
  },
  draining: { http: 503, smtp: [421, '4.3.2'], text: 'The service is shutting down; try again later' },
  'rate-limited': { http: 429, smtp: [450, '4.7.1'], text: '{what} limit exceeded, try again after {seconds} seconds' },
  'quota-exceeded': {
    http: 429,
    smtp: [452, '4.7.1'],
    text: 'Domain {domain} is not allowed to send: {what} limit exceeded, try again after {until}',
  },
  'request-rate': { http: 429, smtp: [450, '4.7.1'], text: 'account-requests-per-sec limit exceeded, try again after {seconds} seconds' },
  internal: { http: 500, smtp: [451, '4.3.0'], text: 'Internal Server Error' },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** A refusal with its answer for HTTP and SMTP. `details` fill the sentence's {names}. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly http: number;
  readonly smtpCode: number;
  readonly enhanced: string;
  readonly details: Readonly<Record<string, string | number>>;

  constructor(code: ErrorCode, details: Readonly<Record<string, string | number>> = {}, cause?: unknown) {
    const entry: ErrorEntry = ERRORS[code];
    super(
      entry.text.replace(/\{(\w+)\}/g, (whole, name: string) => String(details[name] ?? whole)),
      cause === undefined ? undefined : { cause },
    );
    this.name = 'AppError';
    this.code = code;
    this.http = entry.http;
    this.smtpCode = entry.smtp[0];
    this.enhanced = entry.smtp[1];
    this.details = details;
  }
}

/** 400 with a sentence of its own, which says what is wrong with what the caller gave. */
export function badParameter(reason: string): AppError {
  return new AppError('bad-parameter', { reason });
}
