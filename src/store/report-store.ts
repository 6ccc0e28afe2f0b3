/** What others report about mail that bears our domains' names (DMARC), and about connections to them (TLS). Part of the store's contract (store.ts), which says what holds for all of it. */

export type ReportKind = 'dmarc' | 'tls';
export type DmarcDisposition = 'none' | 'quarantine' | 'reject';

/** As the reporter found it published. */
export type DmarcPolicy = Readonly<
  Partial<Record<'p' | 'sp' | 'np' | 'adkim' | 'aspf' | 'pct' | 'fo' | 'testing' | 'discovery_method', string>>
>;

/** Messages that came from one address and fared alike. */
export interface DmarcRow {
  readonly sourceIp: string;
  readonly count: number;
  readonly disposition: DmarcDisposition;
  readonly isDkimAligned: boolean;
  readonly isSpfAligned: boolean;
  readonly headerFrom: string;
  /** Of what fails: "dkim-none spf-fail"; '' of what passes. */
  readonly why: string;
  readonly signatures: readonly { readonly domain: string; readonly selector: string; readonly result: string }[];
  readonly detail: {
    readonly envelopeFrom?: string;
    readonly spf: readonly { readonly domain: string; readonly scope: string; readonly result: string }[];
    /** Why the policy was not applied: "forwarded", "mailing_list", … */
    readonly reasons: readonly string[];
  };
}

export interface TlsPolicy {
  /** "sts", "tlsa", "no-policy-found" */
  readonly type: string;
  readonly mx: readonly string[];
  /** Sessions. */
  readonly successes: number;
  readonly failures: number;
  readonly details: readonly {
    readonly result: string;
    readonly count: number;
    readonly sendingIp: string;
    readonly receivingHost: string;
    readonly receivingIp: string;
    readonly reason: string;
  }[];
}

export interface Report {
  /** The same for the same report, however often it comes. */
  readonly id: string;
  readonly accountId: number;
  readonly domainId: number;
  readonly kind: ReportKind;
  /** Domain of the author of the mail that brought it. */
  readonly reporter: string;
  /** As it names itself. */
  readonly org: string;
  readonly reportId: string;
  readonly beginMs: number;
  readonly endMs: number;
  readonly receivedMs: number;
  /** The mail passed DMARC: it is the reporter's. */
  readonly isVerified: boolean;
  /** Messages, or sessions; and how many of them failed. */
  readonly messages: number;
  readonly failures: number;
  readonly detail: {
    readonly contact?: string;
    readonly policy?: DmarcPolicy;
    readonly errors?: readonly string[];
    readonly rowsLeftOut?: number;
    readonly policies?: readonly TlsPolicy[];
  };
}

/** Reports that begin in this time, `endMs` exclusive. */
export interface ReportRange {
  readonly domainId: number;
  readonly beginMs: number;
  readonly endMs: number;
  /** Also those that anybody may have written. */
  readonly withUnverified: boolean;
}

/** Rows that differ in nothing but who reported them and when. */
export interface DmarcSum {
  readonly sourceIp: string;
  readonly disposition: DmarcDisposition;
  readonly isDkimAligned: boolean;
  readonly isSpfAligned: boolean;
  readonly why: string;
  /** "selector@domain" of the signature that passed; '': none did. */
  readonly signed: string;
  readonly count: number;
}

export interface ReporterSum {
  readonly reporter: string;
  readonly org: string;
  readonly reports: number;
  readonly messages: number;
  readonly failures: number;
}

export interface ReportStore {
  /**
   * repeated: it is there; one that was not verified gives way to one that is. A domain has at most `max` that are verified, of which
   * beyond that the oldest of the reporter with the most goes, and a tenth of that of the others, of which the oldest go.
   */
  putReport(report: Report, rows: readonly DmarcRow[], max: number): Promise<'kept' | 'repeated'>;
  /** Newest first, after that one. */
  reportPage(
    kind: ReportKind,
    range: ReportRange,
    after: { readonly beginMs: number; readonly id: string } | undefined,
    limit: number,
  ): Promise<Report[]>;
  /** Those with the most messages first. */
  reportRows(id: string, limit: number): Promise<DmarcRow[]>;
  dmarcSums(range: ReportRange, limit: number): Promise<DmarcSum[]>;
  reporterSums(kind: ReportKind, range: ReportRange, limit: number): Promise<ReporterSum[]>;
  /** Those that ended before; how many went. */
  expireReports(beforeMs: number, limit: number): Promise<number>;
}
