/** Rules by words that many servers use, whoever runs them. The more telling ones come first. */
import { oneOf } from './classify-rule.ts';
import type { Rule } from './classify-rule.ts';

const TEMPORARY_CODES = Array.from({ length: 100 }, (_, i) => 400 + i);

export const PHRASE_RULES: readonly Rule[] = [
  {
    name: 'greylisted',
    phrases: oneOf(`
      greylist | graylist | grey list | gray list | grey-list | gray-list | greylst | postgrey`),
    class: 'greylisted',
    disposition: 'deferred',
    explanation: 'A first message from an unknown sender is put off on purpose.',
    sample: {
      code: 450,
      enhanced: '4.2.0',
      text: '<someone@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/',
    },
  },
  {
    name: 'greylisted-variant',
    codes: [421, 450, 451, 452],
    phrases: oneOf(`
      first contact | sender not yet known | not seen before | triplet | temporarily rejected. try again | come back later |
      delaying you | delayed delivery, try again`),
    class: 'greylisted',
    explanation: 'A first message from an unknown sender is put off on purpose.',
    sample: { code: 451, enhanced: '4.7.1', text: 'Please try again later: sender not yet known (first contact)' },
  },
  {
    name: 'blocklist-named',
    phrases: oneOf(`
      spamhaus | spamcop | sorbs | barracudacentral | bl.score | uceprotect | abusix | invaluement | psbl | surriel | nixspam |
      mailspike | cbl.abuseat | senderscore | sender score | cloudmark | trustwave | truncate.gbudb | dnsbl | rbl | surbl |
      uribl | 0spam | spfbl | manitu | backscatterer | hostkarma | fabel.dk`),
    class: 'spam-reputation',
    explanation: 'The sending address is in a block list, which the reply names.',
    sample: { code: 554, enhanced: '5.7.1', text: 'Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org' },
  },
  {
    name: 'blocklist',
    phrases: oneOf(`
      blacklist | black list | blocklist | block list | blocked using | denylist | bad reputation | poor reputation |
      low reputation | reputation | your ip has been blocked | ip is blocked | ip blocked | host is blocked |
      client host rejected | client host blocked | connection refused from your | banned | access denied from your ip |
      sending ip | your ip address`),
    class: 'spam-reputation',
    explanation: 'The sending address is blocked or has a bad reputation.',
    sample: { code: 550, text: '192.0.2.1 is blacklisted here' },
  },
  {
    name: 'virus',
    phrases: oneOf(`
      virus | malware | infected | trojan | eicar | phish`),
    class: 'virus',
    explanation: 'The message was found to carry malware.',
    sample: { code: 554, text: 'Virus found: Eicar-Test-Signature' },
  },
  {
    name: 'authentication',
    phrases: oneOf(`
      dmarc | spf check | spf fail | spf: fail | spf validation | spf record | dkim | sender policy framework | openspf |
      not allowed to send mail from | unauthenticated | failed authentication | reverse dns | ptr record | no ptr | rdns |
      cannot find your reverse hostname | cannot find your hostname | helo command rejected | invalid helo | fcrdns |
      sender id (pra)`),
    class: 'authentication',
    explanation: 'The message fails SPF, DKIM, DMARC or a DNS check of the sender.',
    sample: { code: 550, text: 'SPF check failed: 192.0.2.1 is not allowed to send for example.org' },
  },
  {
    name: 'rate-limited',
    phrases: oneOf(`
      rate limit | rate-limit | ratelimit | throttl | too many messages | too many emails | too many connections |
      too many concurrent | too much mail | too fast | too frequent | frequency | sending limit | exceeded the maximum number |
      exceeds the maximum number | quota of messages | hourly limit | daily limit | per hour | per minute | connection limit |
      message limit | limit exceeded`),
    class: 'rate-limited',
    explanation: 'The server takes less mail for now.',
    sample: { code: 450, enhanced: '4.7.1', text: 'You have exceeded the sending limit; try again later' },
  },
  {
    name: 'too-many-recipients',
    phrases: ['too many recipients', 'too many rcpt', 'maximum number of recipients'],
    class: 'too-many-recipients',
    disposition: 'deferred',
    explanation: 'The server takes fewer recipients at once.',
    sample: { code: 552, text: 'Too many recipients' },
  },
  {
    name: 'mailbox-full',
    phrases: oneOf(`
      mailbox full | mailbox is full | mailbox for user is full | over quota | overquota | over-quota | over the quota |
      quota exceeded | exceeded storage | exceeds the storage | exceeded its quota | exceeded quota | out of storage |
      insufficient disk quota | storage quota | quota is full | disk quota | inbox is full | box full | mailfolder is full |
      mailbox quota | no space left in mailbox | exceed the quota | maximum allowed quota | exceeded its allowed size | exceeds allowed size |
      boîte pleine`),
    class: 'mailbox-full',
    explanation: 'The mailbox is full.',
    sample: { code: 550, text: 'The user mailbox exceeds the storage allocation' },
  },
  {
    name: 'too-large',
    phrases: oneOf(`
      message size | message too large | message is too large | too big | size limit | exceeds size | message exceeds |
      maximum size | message file too big | size exceeds`),
    class: 'too-large',
    explanation: 'The message is larger than the server takes.',
    sample: { code: 552, text: 'Message size exceeds fixed maximum message size' },
  },
  {
    name: 'no-domain',
    stages: ['rcpt', 'data', 'dot'],
    phrases: oneOf(`
      domain not found | host or domain name not found | no such domain | unknown domain | domain does not exist |
      unrouteable address | unroutable address | unroutable | domain is not hosted | domain not hosted | no such host |
      all relevant mx records point to non-existent | domain isn't allowed to be relayed | unknown host`),
    class: 'bad-domain',
    explanation: 'The server does not serve or find the domain.',
    sample: { code: 550, text: 'Host or domain name not found' },
  },
  {
    name: 'bad-sender',
    phrases: oneOf(`
      sender address rejected | sender rejected | invalid sender | sender verify failed | sender verification | sender domain |
      return path | from address | sender is not | could not complete sender verify | mail from address | sender denied |
      envelope sender | backscatter | bad sender | sender unknown`),
    class: 'invalid-sender',
    explanation: 'The sender address or its domain is refused.',
    sample: { code: 550, text: 'Sender address rejected: Domain not found', stage: 'mail' },
  },
  {
    name: 'inactive',
    phrases: oneOf(`
      account disabled | mailbox disabled | account is disabled | mailbox is disabled | has been disabled | been suspended |
      is suspended | account suspended | account inactive | account is inactive | mailbox is inactive | mailbox inactive |
      inactive user | inactive recipient | is not active | not active | deactivated | account expired | mailbox is blocked |
      recipient blocked | account has expired | account closed | account is closed | user disabled | user is disabled |
      mailbox locked | locked | dormant | no longer active | frozen | discontinued`),
    class: 'inactive-mailbox',
    explanation: 'The mailbox is disabled, expired or not in use.',
    sample: { code: 550, text: 'The account has been disabled or suspended' },
  },
  {
    name: 'relay-denied',
    phrases: oneOf(`
      relay access denied | relaying denied | relay denied | relaying not allowed | not permitted to relay | unable to relay |
      relay not permitted | relaying is prohibited | relaying prohibited | not a relay | no relaying | does not relay |
      we do not relay | relaying mail | not relay | must be authenticated | authentication required |
      authentication is required | not authorized to relay | rcpthosts | not a local domain | not local`),
    class: 'relay-denied',
    explanation: 'The server does not take mail for this domain from us.',
    sample: { code: 554, enhanced: '5.7.1', text: '<someone@example.org>: Relay access denied' },
  },
  {
    name: 'no-mailbox',
    stages: ['rcpt', 'data', 'dot'],
    phrases: oneOf(`
      user unknown | unknown user | no such user | user not found | user doesn't exist | user does not exist |
      no such recipient | unknown recipient | recipient unknown | recipient not found | recipient does not exist |
      invalid recipient | no such mailbox | mailbox not found | mailbox does not exist | mailbox unknown | unknown mailbox |
      no mailbox | mailbox doesn't exist | address does not exist | address doesn't exist | unknown address | address unknown |
      no such address | no such person | invalid mailbox | invalid user | not a valid mailbox | not a valid recipient |
      not a valid user | not a known user | is not a known | account does not exist | no account | account not found |
      unknown local part | unknown local-part | no longer valid | no longer exists | no longer available |
      does not have an account | not exist | non-existent | nonexistent | nonexist | no valid recipient | not our customer |
      recipnotfound | not listed in domino directory | not found in directory | unknown or illegal alias |
      no one here by that name | this address no longer accepts mail | undeliverable address | kein benutzer | unbekannt |
      utilisateur inconnu | destinataire inconnu | usuario desconocido | utente sconosciuto`),
    class: 'invalid-recipient',
    suppress: true,
    explanation: 'There is no such mailbox.',
    sample: { code: 550, text: '<nobody@example.org>: Recipient address rejected: User unknown in virtual mailbox table', stage: 'rcpt' },
  },
  {
    name: 'spam',
    phrases: oneOf(`
      spam | junk | unsolicited | bulk mail | considered uce | content filter | content rejected | content restrictions |
      content policy | suspicious | bayes | rspamd | rejected due to content | score too high | heuristic | message contains`),
    class: 'spam-content',
    explanation: 'The content was found to be spam.',
    sample: { code: 554, enhanced: '5.7.1', text: 'Message rejected as spam by content scanning' },
  },
  {
    name: 'content',
    phrases: oneOf(`
      attachment | file type | mime | malformed | header | line too long | bare lf | bare newline | 8bit | 8-bit | non-ascii |
      invalid message | rfc 5322 | rfc5322 | rfc 2822 | message-id`),
    class: 'content',
    explanation: 'The server does not take this kind of content.',
    sample: { code: 554, enhanced: '5.6.0', text: 'Attachment type not allowed' },
  },
  {
    name: 'tls',
    phrases: oneOf(`
      tls is required | tls required | requires tls | encryption required | encryption needed | must use tls |
      requires encryption`),
    class: 'tls',
    disposition: 'deferred',
    explanation: 'The server wants encryption that was not used.',
    sample: { code: 450, text: 'TLS is required for this domain' },
  },
  {
    name: 'server-trouble',
    codes: TEMPORARY_CODES,
    phrases: oneOf(`
      temporary local problem | local error | local problem | temporary failure | temporarily unavailable | temporary lookup |
      lookup failure | internal error | resources temporarily | insufficient system | system storage | server error |
      service unavailable | service not available | service temporarily | server is busy | server busy | server too busy |
      system busy | overload | load too high | high load | out of memory | queue file write error | database | ldap |
      maintenance | temporary problem | timeout | timed out | content scanner | milter | error in processing | try again |
      try later | temporarily deferred | try your message again | unavailable at the moment`),
    class: 'transient',
    explanation: 'Something is wrong on the receiving side for the moment.',
    sample: { code: 451, text: 'Temporary local problem - please try later' },
  },
  {
    name: 'policy',
    stages: ['greeting', 'ehlo', 'mail', 'data', 'dot'],
    phrases: oneOf(`
      policy | administrative | prohibited | not permitted | not allowed | not authorized | not authorised | unauthorized |
      refused by | restricted | access denied | access is denied | permission | denied | blocked | rejected by recipient |
      does not accept | do not accept | not accept mail | not accepted | not accepting | only accepts`),
    class: 'policy',
    explanation: "The receiving side's policy forbids it.",
    sample: { code: 550, text: 'Administrative prohibition' },
  },
  {
    name: 'policy-at-recipient',
    stages: ['rcpt'],
    phrases: oneOf(`
      policy | administrative prohibition | administratively | prohibited | not authorized | not authorised | unauthorized |
      restricted | permission | blocked | rejected by recipient | only accepts`),
    class: 'policy',
    explanation: "The receiving side's policy forbids it.",
    sample: { code: 550, text: 'Administrative prohibition for this sender', stage: 'rcpt' },
  },
  {
    name: 'routing',
    phrases: oneOf(`
      loop | hop count | too many hops | too many received | routing | unable to route | no route`),
    class: 'routing',
    explanation: 'The receiving side cannot pass the message on.',
    sample: { code: 554, text: 'Mail loop detected' },
  },
];
