/**
 * Address validation: /v4/address/validate and /parse, and the paths of their elder versions, which have the same answers with `reason` as one text.
 * The union of what SDKs read: `result` and `risk` of the fourth version, `is_valid` and `parts` of the third.
 */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import { assertFeature } from '#api/conventions/features.ts';
import type { Form } from '#api/conventions/form.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { parseAnswer, parseQuery, validateAnswer, validateQuery } from '#api/shapes/validation.ts';
import { badParameter } from '#model/errors.ts';
import { countsOf } from '#validation/list-runner.ts';
import { parseList } from '#validation/parse-list.ts';
import type { Validation } from '#validation/validate.ts';

const ADDRESS_MAX = 512;
const ADDRESSES_MAX = 8000;
const ELDER_PATHS = ['/v3/address', '/v3/address/private'];

export function addressValidation(door: Door): Endpoint[] {
  const validateOne = async (call: Call, given: Form, show: (validation: Validation) => unknown): Promise<Answer> => {
    await assertFeature(door, call, 'validations');
    const address = required(given, 'address', ADDRESS_MAX);
    const { clock, store, validateAddress } = door.deps;
    const { accountId } = call.principal;
    const validation = await validateAddress(accountId, address);
    await store.validations.countValidated(countsOf(accountId, 'single', [validation]), clock.nowMs());
    return json(show(validation));
  };
  const parse = ({ query }: Call): Answer => json(parseList(required(query, 'addresses', ADDRESSES_MAX)));
  return [
    {
      method: 'GET',
      url: '/v4/address/validate',
      summary: 'Say what is known of an address',
      right: 'read',
      query: validateQuery,
      answer: validateAnswer,
      handle: (call) => validateOne(call, call.query, shown),
    },
    {
      method: 'POST',
      url: '/v4/address/validate',
      summary: 'Say what is known of an address',
      right: 'read',
      form: validateQuery,
      answer: validateAnswer,
      handle: (call) => validateOne(call, call.body.form, shown),
    },
    {
      method: 'GET',
      url: '/v4/address/parse',
      summary: 'Read a list of addresses',
      right: 'read',
      query: parseQuery,
      answer: parseAnswer,
      handle: parse,
    },
    ...ELDER_PATHS.flatMap((path): Endpoint[] => [
      {
        method: 'GET',
        url: `${path}/validate`,
        summary: 'Say what is known of an address',
        right: 'read',
        query: validateQuery,
        handle: (call) => validateOne(call, call.query, (validation) => ({ ...shown(validation), reason: validation.reasons[0] ?? null })),
      },
      {
        method: 'GET',
        url: `${path}/parse`,
        summary: 'Read a list of addresses',
        right: 'read',
        query: parseQuery,
        answer: parseAnswer,
        handle: parse,
      },
    ]),
  ];
}

/** A list may come as several parameters of the name. */
function required(given: Form, name: string, max: number): string {
  const text = given.all(name).join(',');
  if (text === '') throw badParameter(`${name} parameter is missing`);
  if (text.length > max) throw badParameter(`${name} parameter is longer than ${max} characters`);
  return text;
}

function shown(validation: Validation): Record<string, unknown> {
  const { address, parts, result, risk, reasons, didYouMean, root } = validation;
  return {
    address,
    did_you_mean: didYouMean ?? null,
    is_disposable_address: validation.isDisposable,
    is_role_address: validation.isRole,
    is_valid: parts !== undefined && result !== 'undeliverable',
    // Whether the mailbox was asked for: never.
    mailbox_verification: 'unknown',
    parts: { display_name: null, domain: parts?.domain ?? null, local_part: parts?.local ?? null },
    reason: reasons,
    result,
    risk,
    ...(root !== undefined && { root_address: root }),
  };
}
