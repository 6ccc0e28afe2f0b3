/** TXT records by the configured resolvers, for verifying domains: asked anew each time, nothing is cached. */
import type { LookUpTxt } from '#accounts/domains.ts';
import type { Config } from '#app/config.ts';
import { systemClock } from '#base/clock.ts';
import { createResolver } from '#dns/resolver.ts';

export async function withTxtLookUp<T>(config: Config, work: (lookUp: LookUpTxt) => Promise<T>): Promise<T> {
  const { servers, timeoutMs, tries } = config.dns;
  const resolver = createResolver({ servers, timeoutMs, tries, cacheMax: 0, clock: systemClock });
  try {
    return await work(async (name) => {
      const answer = await resolver.txt(name);
      if (answer.kind === 'trouble') return undefined;
      return answer.kind === 'found' ? answer.records : [];
    });
  } finally {
    resolver.close();
  }
}
