/** /v4/templates: templates of the account. Any of its domains sends them when it has none of that name itself. */
import { accountShelf } from '#api/conventions/templates.ts';
import type { Door, Endpoint } from '#api/endpoint.ts';
import { templateVersions } from '#api/mailgun/v3/_domain/template-versions.ts';
import { templateEndpoints } from '#api/mailgun/v3/_domain/templates.ts';

export function accountTemplateEndpoints(door: Door): Endpoint[] {
  return [
    ...templateEndpoints(door, '/v4/templates', accountShelf),
    ...templateVersions(door, '/v4/templates/:name/versions', accountShelf),
  ];
}
