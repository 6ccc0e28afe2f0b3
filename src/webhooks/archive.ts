/**
 * Copies of delivered mail (o:archive-to): the MIME exactly as the recipient's server got it, as `application/mime`. How it is made again is handed in; who posts it, and when, is
 * the runner's. The receiver learns from the header fields which delivery it is, and knows a repeat by X-Postrider-Delivery.
 */
import type { OutboxEntry, OutboxItem } from '#store/outbox-store.ts';
import { endpointName } from './endpoint-name.ts';
import type { OutboxMaker } from './outbox-maker.ts';

export interface ArchiveDeps {
  /** The octets that were sent; or why they cannot be had any more. */
  remake(item: OutboxItem): Promise<readonly Buffer[] | { readonly gone: string }>;
  sizeBytes(item: OutboxItem): number;
  readonly giveUpAfterMs: number;
}

/** `copy`: what `remake` needs, as JSON. */
export function archiveEntry(url: string, copy: string): OutboxEntry {
  return { kind: 'archive', endpoint: endpointName(url), target: url, payload: copy };
}

export function createArchiveMaker(deps: ArchiveDeps): OutboxMaker {
  return {
    eventKind: 'archived',
    giveUpAfterMs: deps.giveUpAfterMs,
    isLogged: false,
    sizeBytes: deps.sizeBytes,
    async make(item) {
      const body = await deps.remake(item);
      if ('gone' in body) return body;
      return {
        url: item.target,
        headers: {
          'content-type': 'application/mime',
          'user-agent': 'Postrider',
          'x-postrider-delivery': String(item.id),
          'x-postrider-attempt': String(item.attempts + 1),
          'x-postrider-message': String(item.message?.id ?? 0),
          'x-postrider-recipient': asciiAddress(item.recipient?.address ?? ''),
        },
        body,
      };
    },
    event: (_item, archive, text) => ({ archive, text }),
  };
}

/** An address beyond ASCII is percent-encoded there. */
function asciiAddress(address: string): string {
  return address.toWellFormed().replace(/[^\x21-\x7e]|%/gu, (character) => encodeURIComponent(character));
}
