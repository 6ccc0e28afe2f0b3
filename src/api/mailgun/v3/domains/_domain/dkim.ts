/** /v3/domains/{domain}/dkim_authority and dkim_selector: whose keys sign the domain's mail, and under which name its own is published. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { sendingRecords } from '#api/conventions/domain-json.ts';
import { fieldsOf, flagOf, requiredField } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { messageAnswer } from '#api/shapes/answers.ts';
import { dkimAuthorityAnswer, dkimAuthorityForm, dkimSelectorForm } from '#api/shapes/domains.ts';
import { badParameter } from '#model/errors.ts';

export function domainDkim(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain';
  return [
    {
      method: 'PUT',
      url: `${url}/dkim_authority`,
      summary: 'Sign with the keys of the domain, or with those of the one above it',
      right: 'write',
      form: dkimAuthorityForm,
      answer: dkimAuthorityAnswer,
      handle: (call) => authority(door, call),
    },
    {
      method: 'PUT',
      url: `${url}/dkim_selector`,
      summary: 'Publish the DKIM key of the domain under another name',
      right: 'write',
      form: dkimSelectorForm,
      answer: messageAnswer,
      handle: (call) => selector(door, call),
    },
  ];
}

async function authority(door: Door, call: Call): Promise<Answer> {
  const { accounts } = door.deps;
  const before = await domainOf(door, call);
  const isSelf = flagOf(fieldsOf(call), 'self');
  if (isSelf === undefined) throw badParameter('self parameter is missing');
  const former = await accounts.authorityOf(before);
  const domain = await accounts.changeDomain(before, { settings: { dkimAuthority: isSelf ? 'self' : 'parent' } });
  const changed = (await accounts.authorityOf(domain)).id !== former.id;
  return json({
    message: `Domain DKIM authority has ${changed ? '' : 'not '}been changed`,
    sending_dns_records: await sendingRecords(door, domain),
    changed,
  });
}

async function selector(door: Door, call: Call): Promise<Answer> {
  const domain = await domainOf(door, call);
  await door.deps.accounts.renameSelector(domain, requiredField(fieldsOf(call), 'dkim_selector'));
  return json({ message: 'DKIM selector changed' });
}
