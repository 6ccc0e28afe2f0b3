/** What every SMTP session is held to, whoever it is with: the settings that submission and mail from other servers share. */
import type { Config } from './config.ts';

const ERRORS_SOFT = 10;

/** Sizes in bytes, times in milliseconds; a door adds what is its own (connections, logins). */
export function sessionLimits({ smtp, limits }: Config) {
  return {
    messageBytes: limits.messageSizeBytes,
    recipientsPerMessage: limits.recipientsPerMessage,
    messagesPerConnection: limits.messagesPerConnection,
    errorsHard: limits.errorsPerConnection,
    errorsSoft: Math.min(ERRORS_SOFT, limits.errorsPerConnection),
    idleTimeoutMs: smtp.idleTimeoutMs,
    dataTimeoutMs: smtp.dataTimeoutMs,
    messageTimeoutMs: smtp.messageTimeoutMs,
    handshakeTimeoutMs: smtp.handshakeTimeoutMs,
  };
}
