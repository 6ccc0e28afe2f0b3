/** What an operator chooses about certificates: one part of the table of settings (`settings.ts`). */
import { flag, group, list, optional, string, text } from './setting-kinds.ts';
import { host, isAuthorityUrl } from './setting-values.ts';

export const TLS_SETTINGS = group('Certificates of the listeners with TLS.', {
  cert: optional(string(undefined, 'File with the certificate chain, PEM. Default: a self-signed one, made in the data directory.')),
  key: optional(string(undefined, 'File with the private key, PEM.')),
  acme: group(
    'Certificates obtained from an authority (ACME, RFC 8555), for hosts that links of domains lead to and for names of your own.',
    {
      accept_terms: flag(
        false,
        "You have read the authority's terms and agree to them. Nothing is asked of it otherwise. It must reach this server by HTTP on port 80.",
      ),
      email: optional(
        text(
          'an address such as "ops@example.org"',
          (given) => /^[^\s@,?&]{1,64}@[^\s@,?&]{1,255}$/.test(given),
          undefined,
          'Where the authority writes to about your account.',
        ),
      ),
      directory: text(
        'a URL such as "https://acme.example.org/directory"',
        isAuthorityUrl,
        'https://acme-v02.api.letsencrypt.org/directory',
        'The authority. Each one has an account of its own.',
      ),
      ca_file: optional(
        string(undefined, "File with certificates, PEM, that the authority's own server is checked by. Default: those that Node knows."),
      ),
      names: list(
        host(undefined, ''),
        'host names',
        [],
        'Names of your own that certificates are obtained for, such as that of `http.public_url`. The SMTP listeners use that of `smtp.hostname`.',
      ),
    },
  ),
});
