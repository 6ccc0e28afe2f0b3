/** Answers that many endpoints give, for openapi.json. */
import { z } from 'zod';

export const messageAnswer = z.object({ message: z.string() });
