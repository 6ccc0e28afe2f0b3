/**
 * What spam filters say of mail that comes in: rspamd and SpamAssassin by their own protocols, whichever are set; with both, mail is spam when either says so.
 * A filter has its time; one that does not answer is told in the log, and the mail is accepted without its word, or put off, as the operator wants.
 */
import { errorText } from '#base/error-text.ts';
import type { Log } from '#base/log.ts';
import type { SpamCheck } from '#model/inbound.ts';
import { askRspamd } from './rspamd.ts';
import { askSpamAssassin, SPAMASSASSIN_BYTES_MAX } from './spamassassin.ts';

export interface SpamOptions {
  /** "http://127.0.0.1:11333" */
  readonly rspamd?: string | undefined;
  readonly spamassassin?: { readonly host?: string; readonly port: number } | undefined;
  readonly timeoutMs: number;
  readonly onFailure: 'accept' | 'defer';
}

export interface SpamFacts {
  /** The message, in one or more pieces, with our own trace before it. */
  readonly pieces: readonly Buffer[];
  readonly address: string;
  readonly helo: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly hostname: string;
  readonly id: string;
}

export interface SpamOpinion extends SpamCheck {
  /** The filter wants it to come again later. */
  readonly isPutOff: boolean;
}

/** 'failed': a filter did not answer, and mail is to be put off then. Undefined: none answered. */
export type AskSpamFilters = (facts: SpamFacts) => Promise<SpamOpinion | 'failed' | undefined>;

/** Undefined: no filter is set. */
export function createSpamFilters(options: SpamOptions, log: Log): AskSpamFilters | undefined {
  const { rspamd, spamassassin, timeoutMs } = options;
  const filters: { readonly name: string; readonly ask: (facts: SpamFacts) => Promise<SpamOpinion | undefined> }[] = [];
  if (rspamd !== undefined) filters.push({ name: 'rspamd', ask: (facts) => askRspamd(rspamd, facts, timeoutMs) });
  if (spamassassin !== undefined) {
    filters.push({
      name: 'spamassassin',
      ask: async (facts) =>
        sizeOf(facts) > SPAMASSASSIN_BYTES_MAX ? undefined : askSpamAssassin(spamassassin, facts, AbortSignal.timeout(timeoutMs)),
    });
  }
  if (filters.length === 0) return undefined;
  return async (facts) => {
    const opinions = await Promise.all(
      filters.map(async ({ name, ask }) => {
        try {
          return await ask(facts);
        } catch (error) {
          log.warn({ filter: name, trouble: errorText(error) }, 'a spam filter did not answer');
          return 'failed' as const;
        }
      }),
    );
    if (options.onFailure === 'defer' && opinions.includes('failed')) return 'failed';
    return joined(opinions.filter((opinion) => opinion !== undefined && opinion !== 'failed'));
  };
}

function sizeOf({ pieces }: SpamFacts): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

function joined(opinions: readonly SpamOpinion[]): SpamOpinion | undefined {
  if (opinions.length < 2) return opinions[0];
  return {
    isSpam: opinions.some(({ isSpam }) => isSpam),
    score: Math.max(...opinions.map(({ score }) => score)),
    rules: opinions.flatMap(({ rules }) => rules),
    isPutOff: opinions.some(({ isPutOff }) => isPutOff),
  };
}
