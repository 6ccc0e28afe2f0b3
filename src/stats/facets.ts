/** The names by which statistics tell mailbox providers, devices and countries apart. What is counted may have others: of mail to domains that are no provider's. */
import { PROVIDER_DOMAINS } from '#model/mailbox-provider.ts';

export const FACETS: Readonly<Record<'providers' | 'devices' | 'countries', readonly string[]>> = {
  devices: ['desktop', 'mobile', 'tablet', 'unknown'],
  providers: PROVIDER_DOMAINS,
  countries: countries(),
};

/** Codes of ISO 3166-1 that the runtime knows as names of countries. */
function countries(): string[] {
  const names = new Intl.DisplayNames(['en'], { type: 'region', fallback: 'none' });
  const letters = Array.from({ length: 26 }, (_, i) => String.fromCharCode(65 + i));
  // Codes that are set aside for users, or for what is no country.
  const isNone = (code: string): boolean => /^(?:AA|Q[M-Z]|X[A-JL-Z]|ZZ|EU|EZ|UN)$/.test(code);
  return letters
    .flatMap((first) => letters.map((second) => first + second))
    .filter((code) => !isNone(code) && names.of(code) !== undefined)
    .map((code) => code.toLowerCase());
}
