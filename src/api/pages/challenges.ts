/**
 * Where certificate authorities look for proof that a host leads here: GET /.well-known/acme-challenge/{token} (RFC 8555 §8.3). Every node answers, for the answers are in the
 * store. No key, and nothing to learn: a token is 128 bits or more that the authority chose.
 */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { send } from '#api/endpoint.ts';
import type { ApiDeps } from '#api/deps.ts';
import { errorText } from '#base/error-text.ts';

const LOOKS_MAX = 64;

export function mountChallenges(app: FastifyInstance, { store, log }: ApiDeps): void {
  let looks = 0;

  async function answerOf(token: string): Promise<string | undefined> {
    // What no authority would have given us costs no question.
    if (!/^[\w-]{16,200}$/.test(token) || looks >= LOOKS_MAX) return undefined;
    looks++;
    try {
      return await store.certificates.challengeAnswer(token);
    } catch (error) {
      log.warn({ error: errorText(error) }, 'a certificate authority could not be answered');
      return undefined;
    } finally {
      looks--;
    }
  }

  app.get('/.well-known/acme-challenge/:token', async (request, reply): Promise<FastifyReply> => {
    const answer = await answerOf((request.params as { readonly token?: string }).token ?? '');
    const body = answer ?? 'There is no such challenge here.\n';
    return send(reply, { status: answer === undefined ? 404 : 200, body, contentType: 'application/octet-stream' });
  });
}
