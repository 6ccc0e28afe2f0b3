/**
 * Mail that programs answer with, and that says nothing about delivery: absence notes, receipts, challenges. Data: the first row that fits counts. Each row has samples in
 * test/corpus/auto-replies. `GENERIC_REPLIES` are asked after every row about bounces, which carry such fields too (RFC 3834 §5).
 */
import type { ReplyFormat } from './bounce-format.ts';

export const REPLY_FORMATS: readonly ReplyFormat[] = [
  { name: 'boxtrapper', kind: 'challenge', field: ['x-boxtrapper'] },
  { name: 'tmda', kind: 'challenge', field: ['x-delivery-agent', 'tmda'] },
  { name: 'spamarrest', kind: 'challenge', text: ['complete the verification process', 'to verify that you are a real person'] },
  {
    name: 'challenge-subject',
    kind: 'challenge',
    subject: ['please confirm your message', 'requires verification', 'confirm your email to', 'bitte bestätigen sie ihre e-mail an'],
  },
  { name: 'exchange-out-of-office', kind: 'auto-reply', field: ['x-ms-exchange-inbox-rules-loop'] },
  { name: 'x-autoreply', kind: 'auto-reply', field: ['x-autoreply'] },
  { name: 'x-autorespond', kind: 'auto-reply', field: ['x-autorespond'] },
  { name: 'precedence', kind: 'auto-reply', field: ['precedence', 'auto_reply', 'auto-reply'] },
  { name: 'auto-submitted-vacation', kind: 'auto-reply', field: ['auto-submitted', 'auto-replied (vacation'] },
  {
    name: 'absence-subject',
    kind: 'auto-reply',
    isPrefix: true,
    subject: [
      'out of office',
      'out of the office',
      'automatic reply',
      'auto reply',
      'auto-reply',
      'autoreply',
      'auto:',
      'automatische antwort',
      'abwesenheit',
      'réponse automatique',
      'absence du bureau',
      'respuesta automática',
      'fuera de la oficina',
      'risposta automatica',
      'fuori sede',
      'resposta automática',
      'automatisch antwoord',
      'afwezig',
      'autosvar',
      'automaattinen vastaus',
      'automatyczna odpowiedź',
      'automatická odpověď',
      'автоответ',
      'автоматический ответ',
      '自动回复',
      '自動返信',
      '自動応答',
      '자동 회신',
      'vacation',
    ],
  },
  {
    name: 'receipt-subject',
    kind: 'receipt',
    isPrefix: true,
    subject: ['read:', 'not read:', 'gelesen:', 'ungelesen gelöscht:', 'lu :', 'lu:', 'leído:', 'letto:'],
  },
];

export const GENERIC_REPLIES: readonly ReplyFormat[] = [
  { name: 'auto-submitted', kind: 'auto-reply', field: ['auto-submitted', 'auto-'] },
  { name: 'auto-response-suppress', kind: 'auto-reply', field: ['x-auto-response-suppress'] },
  { name: 'precedence-bulk', kind: 'auto-reply', field: ['precedence', 'bulk', 'junk', 'list'] },
];
