/** Local parts that belong to a function and not to a person: those that RFC 2142 names, and what is usual beside them. */
const ROLES: ReadonlySet<string> = new Set(
  [
    // RFC 2142 §§3-5
    'info marketing sales support abuse noc security postmaster hostmaster usenet news webmaster www uucp ftp',
    // around them
    'admin administrator root sysadmin it itsupport helpdesk help service services customerservice customer-service customercare',
    'contact contactus contact-us hello office mail mailbox enquiries enquiry inquiries inquiry feedback team staff all everyone',
    'billing accounting accounts accountspayable accounts-payable payments invoice invoices finance orders order purchasing procurement',
    'hr jobs careers recruiting recruitment press media pr legal privacy dpo gdpr compliance copyright dmca',
    'noreply no-reply donotreply do-not-reply mailer-daemon bounce bounces daemon nobody null devnull spam phishing',
    'subscribe unsubscribe newsletter newsletters list listserv majordomo request registrar registration reservations booking bookings',
    'ceo cfo cto director management secretary reception school students faculty alumni devops developers dev tech technical ops operations',
    'ssladmin ssladministrator sslwebmaster is dns ns tls certs cert webadmin shop store partners partner affiliate affiliates advertising ads',
  ]
    .join(' ')
    .split(' '),
);

export function isRole(local: string): boolean {
  return ROLES.has(local.toLowerCase());
}
