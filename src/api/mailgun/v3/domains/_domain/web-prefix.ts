/** PUT /v3/domains/{domain}/web_prefix: the host under the domain that links and pixels point to. */
import { json } from '#api/conventions/answer.ts';
import { labelsOf } from '#api/conventions/domain-settings.ts';
import { fieldsOf } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { webPrefixForm } from '#api/shapes/domains.ts';
import { badParameter } from '#model/errors.ts';

export function webPrefix(door: Door): Endpoint {
  return {
    method: 'PUT',
    url: '/v3/domains/:domain/web_prefix',
    summary: 'Name the host that links of the domain point to',
    right: 'write',
    form: webPrefixForm,
    answer: messageAnswer,
    async handle(call) {
      const domain = await domainOf(door, call);
      const prefix = labelsOf(fieldsOf(call), 'web_prefix');
      if (prefix === undefined) throw badParameter('web_prefix parameter is missing');
      await door.deps.accounts.changeDomain(domain, { settings: { webPrefix: prefix } });
      return json({ message: 'Domain web prefix updated' });
    },
  };
}
