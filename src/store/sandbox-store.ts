/** Captured mail as the other rooms see it: what the sandbox took instead of delivering it. Part of the store's contract (store.ts), which says what holds for all of it. */

export interface CapturedMail {
  readonly id: number;
  readonly atMs: number;
  readonly sender: string;
  readonly recipients: readonly string[];
  readonly sizeBytes: number;
  readonly subject: string;
  readonly from: string;
}

export interface SandboxStore {
  /** Keeps the newest `keepMax`; resolves to the id. */
  capture(mail: Omit<CapturedMail, 'id'> & { readonly bytes: Uint8Array }, keepMax: number): Promise<number>;
  /** Newest first; `before` an id, exclusive. */
  list(limit: number, before?: number): Promise<CapturedMail[]>;
  get(id: number): Promise<(CapturedMail & { readonly bytes: Uint8Array }) | undefined>;
  clear(): Promise<number>;
}
