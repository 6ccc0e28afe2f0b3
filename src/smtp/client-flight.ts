/**
 * The command lines of a transaction: MAIL and RCPT with the parameters that the server offers (RFC 1870, 6152, 6531, 3461).
 * An address that could end a command line early, or that no server takes, never gets here: `unsendable` says so first.
 */
import type { Composed, DeliveryJob, JobRecipient } from '#model/delivery.ts';
import type { ServerOffers } from './client-capabilities.ts';

/** Octets; RFC 5321 §4.5.3.1.3 says 256, and the receiving server is the judge of what lies between. */
export const ADDRESS_OCTETS_MAX = 900;
const PARAMETER_OCTETS_MAX = 500; // RFC 3461 §4.2: ORCPT up to 500

/** Why an address cannot be put between the angle brackets of a command; undefined: it can. */
export function unsendable(address: string, canUtf8: boolean): string | undefined {
  if (address.length > ADDRESS_OCTETS_MAX) return 'the address is too long';
  if (/[\x00-\x1f\x7f]/.test(address)) return 'the address has a control character';
  if (address.length < 3 || !address.includes('@', 1)) return 'the address has no domain';
  if (hasBracketOrSpace(address)) return 'the address has a space or an angle bracket outside quotes';
  if (!canUtf8 && /[^\x00-\x7f]/.test(address)) return 'the address needs SMTPUTF8, which the server does not offer';
  return undefined;
}

function hasBracketOrSpace(address: string): boolean {
  if (!/[<> ]/.test(address)) return false;
  let isQuoted = false;
  for (let i = 0; i < address.length; i++) {
    const character = address[i] as string;
    if (character === '\\' && isQuoted) i++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && '<> '.includes(character)) return true;
  }
  return isQuoted;
}

export function mailCommand(job: DeliveryJob, composed: Composed, offers: ServerOffers): string {
  let line = `MAIL FROM:<${composed.mailFrom ?? job.sender}>`;
  if (offers.sizeMax !== undefined) line += ` SIZE=${composed.sizeBytes}`;
  if (composed.body === 'BINARYMIME' && offers.binaryMime) line += ' BODY=BINARYMIME';
  else if (composed.body !== '7BIT' && offers.eightBitMime) line += ' BODY=8BITMIME';
  if (composed.smtputf8 && offers.smtputf8) line += ' SMTPUTF8';
  if (offers.dsn) {
    if (job.ret !== undefined) line += ` RET=${job.ret}`;
    if (job.envid !== undefined && isXtext(job.envid)) line += ` ENVID=${job.envid}`;
  }
  return `${line}\r\n`;
}

export function rcptCommand(recipient: JobRecipient, offers: ServerOffers): string {
  let line = `RCPT TO:<${recipient.address}>`;
  if (offers.dsn) {
    if (recipient.notify !== undefined && recipient.notify.length > 0) line += ` NOTIFY=${recipient.notify.join(',')}`;
    if (recipient.orcpt !== undefined && isXtext(recipient.orcpt)) line += ` ORCPT=${recipient.orcpt}`;
  }
  return `${line}\r\n`;
}

/** RFC 3461 §4: printable ASCII without space; "+" and "=" stand in it encoded, which is the submitter's concern. */
function isXtext(value: string): boolean {
  return value.length <= PARAMETER_OCTETS_MAX && /^[\x21-\x7e]+$/.test(value);
}
