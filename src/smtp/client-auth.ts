/** AUTH PLAIN and AUTH LOGIN (RFC 4954) at a smart host. Secrets go to the wire and nowhere else: the dialogue shows stars. */
import type { Reply } from '#model/outcome.ts';
import type { ServerOffers } from './client-capabilities.ts';
import { Lost } from './client-wire.ts';
import type { Wire } from './client-wire.ts';

export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The reply that ended it (235 is success), the end of the connection, or in words why it was not tried. */
export async function authenticate(wire: Wire, offers: ServerOffers, login: Login, timeoutMs: number): Promise<Reply | Lost | string> {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const say = async (line: string, shown: string): Promise<Reply | Lost> => {
    wire.dialogue.said(shown);
    wire.send(`${line}\r\n`, 1);
    return wire.read(timeoutMs, 'AUTH');
  };
  if (offers.auth.includes('PLAIN')) {
    return say(`AUTH PLAIN ${base64(`\0${login.username}\0${login.password}`)}`, 'AUTH PLAIN ****');
  }
  if (!offers.auth.includes('LOGIN')) return 'the smart host offers neither AUTH PLAIN nor AUTH LOGIN';
  let got = await say('AUTH LOGIN', 'AUTH LOGIN');
  for (const answer of [login.username, login.password]) {
    if (got instanceof Lost || got.code !== 334) return got;
    got = await say(base64(answer), '****');
  }
  return got;
}
