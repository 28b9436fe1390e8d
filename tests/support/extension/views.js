// Prints the extension's views: {"raw_latest": {kind: query}, "schemas": {name: {"changelog", "latest"}}}, each of these
// {"query", "columns"} as its schema script makes it of a schema file.
// Usage: node views.js '{"modules","project","dataset","table"}' FILE...
const options = JSON.parse(process.argv[2]);
process.env.NODE_ENV = "test"; // otherwise loading it runs it
process.env.PROJECT_ID = options.project;
const lib = `${options.modules}/@firebaseextensions/fs-bq-schema-views/lib`;
const { testBuildSchemaViewQuery } = require(`${lib}/schema`);
const { testBuildLatestSchemaSnapshotViewQuery } = require(`${lib}/snapshot`);
const { readSchemas } = require(`${lib}/schema-loader-utils`);

const tracker = `${options.modules}/@firebaseextensions/firestore-bigquery-change-tracker/lib/bigquery`;
const { buildLatestSnapshotViewQuery, buildNonIncrementalMaterializedViewQuery } = require(`${tracker}/snapshot`);
const { RawChangelogViewSchema, documentPathParams } = require(`${tracker}/schema`);
const columns = [...RawChangelogViewSchema.fields, documentPathParams];
const snapshot = (useLegacyQuery) =>
  buildLatestSnapshotViewQuery({
    datasetId: options.dataset, tableName: `${options.table}_raw_changelog`, bqProjectId: options.project,
    timestampColumnName: "timestamp", useLegacyQuery,
    groupByColumns: columns.map(({ name }) => name).filter((name) => !["document_name", "document_id"].includes(name)),
  });
const raw_latest = {
  legacy: snapshot(true),
  standard: snapshot(false),
  materialized: buildNonIncrementalMaterializedViewQuery({
    projectId: options.project, datasetId: options.dataset, tableName: `${options.table}_raw_changelog`,
    rawLatestViewName: `${options.table}_raw_latest`, schema: { fields: columns },
  }).source,
};

const made = {};
for (const [name, schema] of Object.entries(readSchemas(process.argv.slice(3)))) {
  const build = (builder, table) => {
    const { query, fields } = builder(options.dataset, table, JSON.parse(JSON.stringify(schema)));
    return { query, columns: fields.map((field) => [field.name, field.type]) };
  };
  made[name] = {
    changelog: build(testBuildSchemaViewQuery, `${options.table}_raw_changelog`),
    latest: build(testBuildLatestSchemaSnapshotViewQuery, `${options.table}_raw_latest`),
  };
}
console.log(JSON.stringify({ raw_latest, schemas: made }));
