/** Shapes of what others report about a domain, for openapi.json. */
import { z } from 'zod';

const time = z.string().describe('Unix seconds, RFC 2822 or ISO 8601');

export const reportsQuery = z.object({
  begin: time.optional().describe('Of the reports that begin then or later; default: 30 days ago'),
  end: time.optional(),
  unverified: z.string().optional().describe('yes: also reports that anybody may have written'),
});

export const reportPagesQuery = reportsQuery.extend({
  limit: z.number().optional().describe('At most 100; default 20'),
  rows: z.number().optional().describe('Rows shown of each report, at most 2000; default 100'),
  page: z.string().optional().describe('From the URL of the next page'),
});

const reporter = z.object({
  reporter: z.string().describe('Domain of the author of its mail'),
  org: z.string().describe('As it names itself'),
  reports: z.number(),
  messages: z.number(),
  failures: z.number(),
});

const dispositions = z.object({ none: z.number(), quarantine: z.number(), reject: z.number() });

export const dmarcSummary = z.object({
  domain: z.string(),
  begin: z.string(),
  end: z.string(),
  reports: z.number(),
  messages: z.number(),
  pass: z.number(),
  fail: z.number(),
  is_complete: z.boolean().describe('no: there is more than is summed up here; ask for a shorter time'),
  reporters: z.array(
    reporter.extend({
      delivered: z.number().optional().describe('What was delivered from here to the domains it is known to receive for, on those days'),
    }),
  ),
  sources: z.array(
    z.object({
      source_ip: z.string(),
      source: z.enum(['ours', 'forwarder', 'unknown']).describe('forwarder: not ours, with a signature of a key of ours that passed'),
      messages: z.number(),
      pass: z.number(),
      fail: z.number(),
      dkim_aligned: z.number(),
      spf_aligned: z.number(),
      dispositions,
      signed: z.array(z.string()).describe('selector@domain of signatures that passed'),
      why: z.array(z.object({ dkim: z.string(), spf: z.string(), messages: z.number() })).describe('Of what fails'),
    }),
  ),
});

const report = z.object({
  id: z.string(),
  reporter: z.string(),
  org: z.string(),
  report_id: z.string(),
  begin: z.string(),
  end: z.string(),
  received: z.string(),
  verified: z.boolean().describe('The mail that brought it passed DMARC for the reporter'),
  contact: z.string().optional(),
});

const paging = z.object({ next: z.string().optional() });

export const dmarcReports = z.object({
  items: z.array(
    report.extend({
      messages: z.number(),
      fail: z.number(),
      policy: z.record(z.string(), z.string()).optional(),
      errors: z.array(z.string()).optional(),
      rows_left_out: z.number().optional(),
      rows: z.array(
        z.object({
          source_ip: z.string(),
          source: z.enum(['ours', 'unknown']),
          count: z.number(),
          disposition: z.enum(['none', 'quarantine', 'reject']),
          dkim: z.enum(['pass', 'fail']).describe('Aligned with From'),
          spf: z.enum(['pass', 'fail']),
          header_from: z.string(),
          envelope_from: z.string().optional(),
          signatures: z.array(
            z.object({
              domain: z.string(),
              selector: z.string(),
              result: z.string(),
              is_ours: z.boolean().describe('A key of the domain'),
            }),
          ),
          spf_results: z.array(z.object({ domain: z.string(), scope: z.string(), result: z.string() })),
          reasons: z.array(z.string()),
        }),
      ),
    }),
  ),
  paging,
});

export const tlsReports = z.object({
  items: z.array(
    report.extend({
      sessions: z.number(),
      failures: z.number(),
      policies: z.array(
        z.object({
          type: z.string(),
          mx: z.array(z.string()),
          successes: z.number(),
          failures: z.number(),
          details: z.array(
            z.object({
              result: z.string(),
              count: z.number(),
              sending_ip: z.string(),
              receiving_host: z.string(),
              receiving_ip: z.string(),
              reason: z.string(),
            }),
          ),
        }),
      ),
    }),
  ),
  paging,
});
