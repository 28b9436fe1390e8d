// Calls the extension's own change tracker, one event per call as its trigger does, and prints {"events_per_s"}.
// One tracker for each target, as the extension is installed once for each: the events take turns.
// Usage: node tracker.js '{"modules","endpoint","project","events","concurrency","targets"}'
// A target: {"dataset","table","collection","tenant","document"}
const options = JSON.parse(process.argv[2]);
process.env.BIGQUERY_EMULATOR_HOST = options.endpoint;
process.env.PROJECT_ID = process.env.GOOGLE_CLOUD_PROJECT = options.project;
const name = "@firebaseextensions/firestore-bigquery-change-tracker";
const { FirestoreBigQueryEventHistoryTracker, ChangeType } = require(`${options.modules}/${name}`);

const targets = options.targets.map((target) => ({
  ...target,
  tracker: new FirestoreBigQueryEventHistoryTracker({
    datasetId: target.dataset,
    tableId: target.table,
    bqProjectId: options.project,
    wildcardIds: true,
    skipInit: true,
    logLevel: "silent",
    clustering: [],
    partitioning: { granularity: "NONE" },
  }),
}));

function event(number, target) {
  const id = `document-${number}`;
  return {
    timestamp: new Date().toISOString(),
    operation: ChangeType.UPDATE,
    documentName: `projects/${options.project}/databases/(default)/documents/${target.collection}/${id}`,
    documentId: id,
    eventId: `event-${process.pid}-${number}`,
    pathParams: { tenant_id: target.tenant, documentId: id },
    data: target.document,
    oldData: target.document,
  };
}

async function run(events, offset) {
  let next = 0;
  const client = async () => {
    while (next < events) {
      const number = offset + next++;
      const target = targets[number % targets.length];
      await target.tracker.record([event(number, target)]);
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, client));
}

(async () => {
  await run(Math.max(20, options.concurrency), 1e6);
  const began = process.hrtime.bigint();
  await run(options.events, 0);
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  console.log(JSON.stringify({ events_per_s: options.events / seconds }));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
