/** What operators' machines ask: /healthz (alive), /readyz (takes mail), /metrics, /openapi.json. The first two need no key. */
import type { FastifyInstance } from 'fastify';
import type { Answer } from './conventions/answer.ts';
import { json } from './conventions/answer.ts';
import { assertRight, authenticate } from './conventions/auth.ts';
import { errorAnswer } from './conventions/errors.ts';
import type { ApiDeps } from './deps.ts';
import { clientAddresses } from './conventions/client-address.ts';
import { send } from './endpoint.ts';
import type { Endpoint } from './endpoint.ts';
import type { Metrics } from './metrics.ts';
import { createNetworkTest } from '#base/networks.ts';
import { openApi } from './openapi.ts';

export function mountOperations(app: FastifyInstance, deps: ApiDeps, metrics: Metrics, described: readonly Endpoint[]): void {
  const mayReadMetrics = createNetworkTest(deps.config.metricsNetworks);
  const addressOf = clientAddresses(deps.config.proxyFrom ?? []);
  /** Made when it is first asked for: most processes never are, and making it leaves much garbage behind. */
  let description: Answer | undefined;

  app.get('/healthz', (_request, reply) => send(reply, json({ status: 'ok' })));
  app.get('/readyz', (_request, reply) => send(reply, readiness(deps)));
  app.get('/openapi.json', (_request, reply) => send(reply, (description ??= json(openApi(described)))));
  app.get('/metrics', async (request, reply) => {
    try {
      if (!mayReadMetrics(addressOf(request.raw))) {
        assertRight(await authenticate(deps.accounts, request.headers.authorization, addressOf(request.raw)), 'operate');
      }
      return await send(reply, { status: 200, body: await metrics.text(), contentType: metrics.contentType });
    } catch (error) {
      return await send(reply, errorAnswer(error, deps.log));
    }
  });
}

function readiness(deps: ApiDeps): Answer {
  const { isWritable, trouble } = deps.store.health();
  if (deps.isReady() && isWritable) return json({ status: 'ready' });
  const why = isWritable ? (deps.refusal?.()?.message ?? 'starting or shutting down') : (trouble ?? 'the store does not take mail');
  return json({ status: 'not ready', message: why }, 503, { 'retry-after': '5' });
}
