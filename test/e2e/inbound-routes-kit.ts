/** A running program that takes mail from elsewhere, with what routes need: a server that is posted to, and words for both. */
import { DOMAIN, Installation, type Keeper, type Server } from '../kit/installation.ts';
import { type HttpReceiver, type Received, startHttpReceiver } from '../kit/http-receiver.ts';
import { SmtpTalk } from '../kit/smtp-talk.ts';

export const ZONE = {
  'hooks.test': { A: ['127.0.0.1'] },
  'sender.test': { A: ['127.0.0.1'], TXT: ['v=spf1 ip4:127.0.0.1 -all'] },
  'other.test': { A: ['127.0.0.1'] },
};

export const SETTINGS = {
  'smtp.inbound': '127.0.0.1:0',
  'inbound.greeting_delay': '0s',
  // What SPF and DMARC say must not depend on how busy the machine is.
  'inbound.authentication_timeout': '1m',
  'webhooks.allow_networks': '127.0.0.0/8',
  'webhooks.retry': '300ms',
  'webhooks.timeout': '5s',
};

export interface RoutesRig {
  readonly home: Installation;
  readonly there: HttpReceiver;
  server: Server;
  url(path: string): string;
  /** The account's routes are these, and no others. */
  routes(...rules: readonly (readonly [expression: string, actions: string | readonly string[], priority?: number])[]): Promise<void>;
}

export async function startRoutes(keeper: Keeper, settings: Readonly<Record<string, string>> = {}): Promise<RoutesRig> {
  const home = await Installation.make(keeper, { ...SETTINGS, ...settings }, { zone: ZONE });
  const there = await startHttpReceiver();
  keeper.after(() => there.close());
  const rig: RoutesRig = {
    home,
    there,
    server: await home.start(),
    url: (path) => `http://hooks.test:${there.port}${path}`,
    async routes(...rules) {
      const { body } = await rig.server.mustCall('GET', '/v3/routes?limit=1000');
      for (const { id } of body['items'] as { id: string }[]) await rig.server.mustCall('DELETE', `/v3/routes/${id}`);
      for (const [index, [expression, action, priority = index]] of rules.entries())
        await rig.server.mustCall('POST', '/v3/routes', { expression, action, priority: String(priority) });
    },
  };
  return rig;
}

export function inboundPort(server: Server): number {
  return Number((server.program.doors.get('inbound')?.[0] ?? '').split(':').at(-1));
}

/** One message, over SMTP; the reply to it, or to the recipient that was refused. */
export async function bringTo(server: Server, to: string | readonly string[], message: string, from = 'ann@sender.test'): Promise<string> {
  const talk = await SmtpTalk.open(inboundPort(server));
  await talk.say('EHLO client.test');
  await talk.say(`MAIL FROM:<${from}>`);
  for (const address of [to].flat()) {
    const reply = await talk.say(`RCPT TO:<${address}>`);
    if (!reply.startsWith('250')) {
      talk.destroy();
      return reply;
    }
  }
  await talk.say('DATA');
  const reply = await talk.say(`${message}.`);
  talk.destroy();
  return reply;
}

export const ours = (local: string): string => `${local}@${DOMAIN}`;

/** What was posted, as a browser's form would be read: fields in order, files by name. */
export async function formOf({ headers, body }: Received): Promise<{ fields: [string, string][]; files: Map<string, File> }> {
  const form = await new Response(new Uint8Array(body), { headers: { 'content-type': String(headers['content-type']) } }).formData();
  const fields: [string, string][] = [];
  const files = new Map<string, File>();
  for (const [name, value] of form) {
    if (typeof value === 'string') fields.push([name, value]);
    else files.set(name, value);
  }
  return { fields, files };
}
