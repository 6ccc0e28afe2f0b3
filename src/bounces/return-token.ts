/**
 * Addresses of ours that tell by themselves what came back is about: `bounce+TOKEN@` in MAIL FROM, `complaints+TOKEN@` in CFBL-Address. The token holds the number of a
 * recipient or of a message and our signature, so nobody else can make one, nothing is stored for it, and no address stands in it. Local parts stay
 * within 64 octets (RFC 5321 §4.5.3.1.1) and mean the same in capitals.
 */
import type { SignedTokens } from '#base/signed-token.ts';

/** A message stands for its recipients where one transaction is for several. */
export type About = { readonly kind: 'recipient' | 'message'; readonly id: number };

export interface ReturnTokens {
  returnPath(about: About, domain: string): string;
  /** `local`: the part before the @. Undefined: it is not one of ours. */
  openReturnPath(local: string): About | undefined;
  /** For CFBL-Feedback-ID. */
  feedbackToken(about: About): string;
  openFeedbackToken(text: string): About | undefined;
  /** `token`: as `feedbackToken` makes it. */
  complaintAddress(token: string, domain: string): string;
  openComplaintAddress(local: string): About | undefined;
}

export const RETURN_PATH_PREFIX = 'bounce+';
export const COMPLAINT_PREFIX = 'complaints+';

/** What tokens are for, within their key. Never renumbered: they stand in mail that was sent. */
const KINDS = { bounce: { recipient: 1, message: 2 }, complaint: { recipient: 3, message: 4 } } as const;
const ID_BYTES_MAX = 7;

export function createReturnTokens(tokens: SignedTokens): ReturnTokens {
  const sign = (use: keyof typeof KINDS, about: About): string => tokens.signBase32(KINDS[use][about.kind], idBytes(about.id));
  const open = (use: keyof typeof KINDS, token: string): About | undefined => {
    for (const kind of ['recipient', 'message'] as const) {
      const payload = tokens.openBase32(KINDS[use][kind], token);
      if (payload !== undefined && payload.length > 0 && payload.length <= ID_BYTES_MAX) return { kind, id: idOf(payload) };
    }
    return undefined;
  };
  return {
    returnPath: (about, domain) => `${RETURN_PATH_PREFIX}${sign('bounce', about)}@${domain}`,
    openReturnPath: (local) => open('bounce', after(local, RETURN_PATH_PREFIX)),
    feedbackToken: (about) => sign('complaint', about),
    openFeedbackToken: (text) => open('complaint', text),
    complaintAddress: (token, domain) => `${COMPLAINT_PREFIX}${token}@${domain}`,
    openComplaintAddress: (local) => open('complaint', after(local, COMPLAINT_PREFIX)),
  };
}

function after(local: string, prefix: string): string {
  return local.slice(0, prefix.length).toLowerCase() === prefix ? local.slice(prefix.length) : '';
}

/** As few octets as hold it, the highest first. */
function idBytes(id: number): Buffer {
  const octets: number[] = [];
  for (let rest = id; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Buffer.from(octets);
}

function idOf(octets: Buffer): number {
  let id = 0;
  for (const octet of octets) id = id * 256 + octet;
  return id;
}
