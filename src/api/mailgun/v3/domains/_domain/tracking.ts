/** /v3/domains/{domain}/tracking: whether opens, clicks and unsubscribes of a domain's mail are to be counted. */
import { json } from '#api/conventions/answer.ts';
import type { Answer } from '#api/conventions/answer.ts';
import type { Json } from '#api/conventions/domain-json.ts';
import { given } from '#api/conventions/domain-settings.ts';
import { type Fields, fieldsOf, flagOf } from '#api/conventions/fields.ts';
import { domainOf } from '#api/conventions/tenant.ts';
import type { Call, Door, Endpoint } from '#api/endpoint.ts';
import { trackingAnswer, trackingForm } from '#api/shapes/domains.ts';
import { badParameter } from '#model/errors.ts';
import type { DomainSettings } from '#store/domain-store.ts';
import { footersOf } from '#unsubscribe/footers.ts';

const FOOTER_MAX = 16_384;
const UTM_MAX = 500;
const UTM = /^[\w.-]+=[\w.~%+-]+(?:&[\w.-]+=[\w.~%+-]+)*$/;

const KINDS = {
  open: { read: openSettings, show: open },
  click: { read: clickSettings, show: click },
  unsubscribe: { read: unsubscribeSettings, show: unsubscribe },
} as const;

export function tracking(door: Door): Endpoint[] {
  const url = '/v3/domains/:domain/tracking';
  return [
    {
      method: 'GET',
      url,
      summary: 'Tracking settings of a domain',
      right: 'read',
      answer: trackingAnswer,
      handle: (call) => showAll(door, call),
    },
    ...(Object.keys(KINDS) as (keyof typeof KINDS)[]).map((kind): Endpoint => ({
      method: 'PUT',
      url: `${url}/${kind}`,
      summary: `Change ${kind} tracking of a domain`,
      right: 'write',
      form: trackingForm[kind],
      handle: (call) => change(door, call, kind),
    })),
  ];
}

async function showAll(door: Door, call: Call): Promise<Answer> {
  const { settings = {} } = await domainOf(door, call);
  return json({
    tracking: {
      open: open(settings),
      click: click(settings),
      unsubscribe: unsubscribe(settings),
      web_scheme: settings.webScheme ?? 'https',
    },
  });
}

async function change(door: Door, call: Call, kind: keyof typeof KINDS): Promise<Answer> {
  const domain = await domainOf(door, call);
  const { read, show } = KINDS[kind];
  const { settings = {} } = await door.deps.accounts.changeDomain(domain, { settings: read(fieldsOf(call)) });
  return json({ message: 'Domain tracking settings have been updated', [kind]: show(settings) });
}

function openSettings(fields: Fields): DomainSettings {
  return given({ trackOpens: flagOf(fields, 'active'), openAtTop: flagOf(fields, 'place_at_the_top') });
}

function clickSettings(fields: Fields): DomainSettings {
  const isHtmlOnly = fields.get('active')?.trim().toLowerCase() === 'htmlonly';
  return given({ trackClicks: isHtmlOnly ? 'htmlonly' : flagOf(fields, 'active'), utm: utmOf(fields) });
}

/** Ours: parameters for counted links, as they stand in a URL; empty: none. */
function utmOf(fields: Fields): string | undefined {
  const text = fields.get('utm') ?? (fields.has('utm') ? '' : undefined);
  if (text !== undefined && text !== '' && (text.length > UTM_MAX || !UTM.test(text))) {
    throw badParameter("'utm' parameter is not valid: it is written as in a URL, such as utm_source=news&utm_medium=email");
  }
  return text;
}

function unsubscribeSettings(fields: Fields): DomainSettings {
  return given({
    trackUnsubscribes: flagOf(fields, 'active'),
    unsubscribeHtml: footer(fields, 'html_footer'),
    unsubscribeText: footer(fields, 'text_footer'),
  });
}

function footer(fields: Fields, name: string): string | undefined {
  const text = fields.get(name) ?? (fields.has(name) ? '' : undefined);
  if (text !== undefined && (text.length > FOOTER_MAX || text.includes('\0') || !text.isWellFormed())) {
    throw badParameter(`'${name}' parameter is not valid: it has ${FOOTER_MAX} characters at most`);
  }
  return text;
}

function open({ trackOpens = false, openAtTop = false }: DomainSettings): Json {
  return { active: trackOpens, place_at_the_top: openAtTop };
}

function click({ trackClicks = false, utm = '' }: DomainSettings): Json {
  return { active: trackClicks, ...(utm !== '' && { utm }) };
}

function unsubscribe(settings: DomainSettings): Json {
  const { html, text } = footersOf(settings);
  return { active: settings.trackUnsubscribes ?? false, html_footer: html, text_footer: text };
}
