/**
 * How servers word their bounces, beside the reports of RFC 3464. Data: the first row that fits counts, so what is told by clear marks stands before what is told by
 * a phrase. Each row has samples in test/corpus/bounces. `GENERIC_BOUNCES` are asked last, after it is known that nobody's program just replied.
 */
import type { BounceFormat } from './bounce-format.ts';

const COPY = [
  'below this line is a copy of the message',
  'this is a copy of',
  'original message follows',
  'original message -----',
  'copy of the original message',
  'header of the original message',
];

export const BOUNCE_FORMATS: readonly BounceFormat[] = [
  { name: 'qmail', text: ['this is the qmail-send program'], until: COPY },
  { name: 'yahoo', text: ['sorry, we were unable to deliver your message to the following address'], until: COPY },
  { name: 'exim-delayed', text: ['has not yet been delivered to one or more of its'], action: 'delayed' },
  { name: 'sendmail-warning', text: ['this is a warning message only'], action: 'delayed' },
  { name: 'mail-ru', from: ['mail.ru'], text: ['could not be delivered to one or more of its'], until: COPY },
  { name: 'gmx', text: ['the following address failed:'], until: COPY },
  { name: 'exim', text: ['the following address(es) failed', 'could not be delivered to one or more of its'], until: COPY },
  { name: 'postfix', text: ['this is the postfix program', 'this is the mail system at host'], until: COPY },
  {
    name: 'sendmail',
    text: ['following addresses had permanent fatal errors'],
    until: ['original message follows', 'message header follows'],
  },
  {
    name: 'exchange',
    text: ['the following recipient(s) could not be reached', 'the following recipient(s) cannot be reached'],
    until: COPY,
  },
  {
    name: 'office365',
    text: [
      'delivery has failed to these recipients or groups',
      'delivery has failed to these recipients or distribution lists',
      'fehler bei der nachrichtenzustellung an folgende empfänger',
      'échec de la remise à ces destinataires ou groupes',
      'error de entrega a estos destinatarios o grupos',
    ],
    until: ['original message headers'],
  },
  { name: 'gmail', text: ['delivery to the following recipient failed permanently', "your message wasn't delivered to"], until: COPY },
  { name: 'groupwise', text: ['message that you sent was undeliverable to the following'], until: ['original message follows'] },
  { name: 'lotus-notes', text: ['was not delivered to:'] },
  { name: 'ironport', text: ['the following message to <'] },
  { name: 'mimecast', text: ['an email you addressed to email address'], before: ['-- '] },
  { name: 'courier', text: ['message to the following recipients cannot be delivered'] },
  { name: 'communigate', text: ["failed to deliver to '"] },
  { name: 'imail', text: ['user mailbox exceeds allowed size:', 'unknown user:', 'undeliverable to'], until: COPY },
  { name: 'mdaemon', text: ['the attached message had permanent fatal delivery errors'] },
  { name: 'opensmtpd', text: ['an error has occurred while attempting to deliver a message for'], until: COPY },
  { name: 'qq', text: ['您的邮件被退回', '无法发送到'], before: ['无法发送到'] },
  {
    name: 'translated',
    text: [
      "n'a pas pu être remis aux destinataires suivants",
      'konnte nicht zugestellt werden',
      'no se pudo entregar a los siguientes destinatarios',
      'non è stato possibile recapitare il messaggio',
      'não pôde ser entregue',
      'не удалось доставить',
    ],
    until: COPY,
  },
  { name: 'failed-recipients-field', field: 'x-failed-recipients', until: COPY },
  { name: 'mailbox-full', subject: ['mailbox full', 'mailbox is full', 'quota exceeded', 'over quota', 'postfach voll', 'boîte pleine'] },
];

const UNDELIVERABLE = [
  'undeliver',
  'returned mail',
  'mail delivery failed',
  'delivery failure',
  'delivery status notification (failure)',
  'delivery failed',
  'failure notice',
  'mail failure',
  'nondeliverable',
  'non-deliverable',
  'unzustellbar',
  'message non remis',
  'no se puede entregar',
  'mancato recapito',
  '退信',
];

/** By who wrote it and what the subject says alone. */
export const GENERIC_BOUNCES: readonly BounceFormat[] = [
  { name: 'mailer-daemon', from: ['mailer-daemon', 'mailerdaemon', 'postmaster', 'mail delivery'], subject: UNDELIVERABLE, until: COPY },
];
