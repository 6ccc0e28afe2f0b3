/** Stored templates and their versions. Part of the store's contract (store.ts), which says what holds for all of it. Names and tags are in lower case. */

export interface TemplateVersion {
  readonly templateId: number;
  readonly name: string;
  /** Version tag, lower case. */
  readonly tag: string;
  readonly source: string;
  readonly engine: 'handlebars';
  readonly comment: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly isActive: boolean;
  readonly createdMs: number;
}

/** What stays away stays as it is. */
export interface VersionChange {
  readonly source?: string;
  readonly comment?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly isActive?: true;
}

/** No domain has such an id. */
export function accountTemplates(accountId: number): number {
  return -accountId;
}

export interface TemplateFacts {
  readonly name: string;
  readonly description: string;
  readonly createdMs: number;
  /** As its author said; may be empty. */
  readonly createdBy: string;
}

/** Where `domainId` stands, an account's own templates, which all of its domains share, have `accountTemplates(accountId)`. */
export interface TemplateStore {
  /** A template without a version, which nothing can be sent with yet; false when it exists. */
  createTemplate(domainId: number, template: TemplateFacts): Promise<boolean>;
  /** False: no such template; likewise below. */
  describeTemplate(domainId: number, name: string, description: string): Promise<boolean>;
  /** In the order of their tags. */
  listVersions(domainId: number, name: string): Promise<Omit<TemplateVersion, 'source'>[]>;
  /** `isActive`: it takes the place of the one that was. */
  changeVersion(domainId: number, name: string, tag: string, change: VersionChange): Promise<boolean>;
  /** When it was active, the newest that is left becomes so. */
  deleteVersion(domainId: number, name: string, tag: string): Promise<boolean>;
  /** Creates the template if it is new, and the version; false when that version exists. The first version is active. */
  putVersion(domainId: number, description: string, version: Omit<TemplateVersion, 'templateId'>, createdBy?: string): Promise<boolean>;
  /** The named version, or the active one. Names and tags are lower case. */
  version(domainId: number, name: string, tag?: string): Promise<TemplateVersion | undefined>;
  listTemplates(domainId: number): Promise<TemplateFacts[]>;
  deleteTemplate(domainId: number, name: string): Promise<boolean>;
}
