/** /v3/domains/{domain}/connection: what TLS the domain's mail demands. Flat and nested, with both spellings: clients read either. */
import { json } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { connectionAnswer, connectionForm } from '#api/shapes/domains.ts';
import { badParameter } from '#model/errors.ts';
import type { Domain } from '#store/store.ts';

export function connection(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain/connection';
  return [
    {
      method: 'GET',
      url,
      summary: 'What TLS the mail of a domain demands',
      right: 'read',
      answer: connectionAnswer,
      handle: async (call) => json(shown(await domainOf(door, call))),
    },
    {
      method: 'PUT',
      url,
      summary: 'Demand TLS for the mail of a domain',
      right: 'write',
      form: connectionForm,
      answer: connectionAnswer,
      async handle(call) {
        const domain = await domainOf(door, call);
        const fields = fieldsOf(call);
        const requireTls = flagOf(fields, 'require_tls', 'require-tls');
        const skipVerification = flagOf(fields, 'skip_verification', 'skip-verification');
        if (requireTls === undefined && skipVerification === undefined)
          throw badParameter('require_tls or skip_verification parameter is missing');
        const changed = await door.deps.accounts.changeDomain(domain, {
          ...(requireTls !== undefined && { requireTls }),
          ...(skipVerification !== undefined && { skipVerification }),
        });
        const words = { 'require-tls': changed.requireTls, 'skip-verification': changed.skipVerification };
        return json({
          message: 'Domain connection settings have been updated, may take 10 minutes to fully propagate',
          ...shown(changed),
          ...words,
        });
      },
    },
  ];
}

function shown({ requireTls, skipVerification }: Domain): Json {
  const settings = { require_tls: requireTls, skip_verification: skipVerification };
  return { ...settings, connection: settings };
}
