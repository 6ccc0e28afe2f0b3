/** Mail servers under test, whoever wrote them: where to hand mail in, and the processes whose trees are measured. */
export interface Server {
  /** Roots of its process trees: one for each node. */
  readonly pids: readonly number[];
  /** Load goes to each of them in turn. */
  readonly smtpPorts: readonly number[];
  readonly api?: { readonly ports: readonly number[]; readonly key: string };
  readonly database?: MeasuredDatabase;
  stop(): Promise<void>;
}

/** A database server that works for it, counted apart. */
export interface MeasuredDatabase {
  readonly pid: number;
  /** Bytes of its write-ahead log so far. */
  walBytes(): Promise<number>;
  /** Of the nodes' database, as their role. */
  readonly url: string;
  /** Puts a statement to the nodes' database, as the superuser. */
  sql(text: string): Promise<Record<string, unknown>[]>;
}
