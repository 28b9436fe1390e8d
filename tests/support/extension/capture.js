// Writes a history to Firestore and lets the extension's own code log it: its change tracker as its trigger calls it, and
// its import script. Prints {"changes", "documents"}: what was written, and what Firestore holds in the end.
// Usage: node capture.js '{"modules","bigquery","project","dataset"}', with FIRESTORE_EMULATOR_HOST set.
const options = JSON.parse(process.argv[2]);
process.env.BIGQUERY_EMULATOR_HOST = options.bigquery;
process.env.PROJECT_ID = process.env.GOOGLE_CLOUD_PROJECT = process.env.GCLOUD_PROJECT = options.project;
const { execFileSync } = require("child_process");
const scope = `${options.modules}/@firebaseextensions`;
const trackers = {
  live: require(`${scope}/firestore-bigquery-change-tracker`),
  // The import script brings a tracker of its own, an older one.
  import: require(`${scope}/fs-bq-import-collection/node_modules/@firebaseextensions/firestore-bigquery-change-tracker`),
};
const { getRowsFromDocs } = require(`${scope}/fs-bq-import-collection/lib/helper.js`);
const load = require("module").createRequire(`${options.modules}/`);
const { initializeApp } = load("firebase-admin/app");
const { getFirestore, GeoPoint, Timestamp } = load("firebase-admin/firestore");

const app = initializeApp({ projectId: options.project }, "capture");
const changes = [];
const held = {};

class Instance {
  // One installed instance of the extension: a collection of a database, and its table.
  constructor(table, collection, database = "(default)") {
    Object.assign(this, { table, collection, database });
    this.db = database === "(default)" ? getFirestore(app) : getFirestore(app, database);
    this.tracker = this.make("live");
  }

  make(kind) {
    return new trackers[kind].FirestoreBigQueryEventHistoryTracker({
      datasetId: options.dataset, tableId: this.table, bqProjectId: options.project, firestoreInstanceId: this.database,
      wildcardIds: this.collection.includes("{"), skipInit: true, logLevel: "silent",
      clustering: [], partitioning: { granularity: "NONE" },
    });
  }

  path(id) {
    return id.includes("/") ? id : `${this.collection}/${id}`;
  }

  name(path) {
    return `projects/${options.project}/databases/${this.database}/documents/${path}`;
  }

  // logged: how often the tracker records the event; its queue repeats what reported an error though it had landed.
  async set(id, fields, logged = 1) {
    const path = this.path(id);
    const reference = this.db.doc(path);
    const before = await reference.get();
    const { writeTime } = await reference.set(decode(this.db, fields));
    await this.happened(path, before, await reference.get(), writeTime, fields, logged);
  }

  async delete(id, logged = 1) {
    const path = this.path(id);
    const reference = this.db.doc(path);
    const before = await reference.get();
    const { writeTime } = await reference.delete();
    await this.happened(path, before, await reference.get(), writeTime, null, logged);
  }

  async happened(path, before, after, time, fields, logged) {
    const name = this.name(path);
    const operation = !after.exists ? "DELETE" : before.exists ? "UPDATE" : "CREATE";
    changes.push({
      table: this.table, database: this.database, path, operation, time: iso(time),
      at: after.exists ? iso(after.updateTime) : null, old_at: before.exists ? iso(before.updateTime) : null,
      created: iso((after.exists ? after : before).createTime), fields, old_fields: held[name] ?? null,
      logged: logged > 0,
    });
    if (fields) held[name] = fields;
    else delete held[name];
    const { ChangeType } = trackers.live;
    const event = {
      timestamp: iso(time), operation: ChangeType[operation], documentName: name, documentId: path.split("/").pop(),
      eventId: `extension-${changes.length}`, pathParams: params(this.collection, path),
      data: this.tracker.serializeData(after.exists ? after.data() : undefined),
      oldData: this.tracker.serializeData(before.exists ? before.data() : undefined),
    };
    for (let time = 0; time < logged; time++) await this.tracker.record([event]);
  }

  import() {
    execFileSync("node", [
      `${scope}/fs-bq-import-collection/lib/index.js`, "--non-interactive", "-P", options.project,
      "-q", "false", "-s", this.collection, "-d", options.dataset, "-t", this.table, "-l", "us",
      "--firestore-instance-id", this.database,
    ], { env: process.env, cwd: options.scratch, stdio: ["ignore", "ignore", "inherit"] });
  }

  // The import script's own steps, with writes between its read and its stamps.
  async slowImport(ids, meanwhile) {
    const documents = await Promise.all(ids.map((id) => this.db.doc(this.path(id)).get()));
    await meanwhile();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const config = { sourceCollectionPath: this.collection, projectId: options.project, queryCollectionGroup: false };
    await this.make("import").record(getRowsFromDocs(documents, config));
  }
}

const iso = (time) => time.toDate().toISOString().slice(0, 19) + `.${String(time.nanoseconds).padStart(9, "0").slice(0, 6)}Z`;

function params(collection, path) {
  const parts = path.split("/");
  const found = { documentId: parts[parts.length - 1] };
  if (!collection.includes("{")) return null;
  collection.split("/").forEach((part, index) => part.startsWith("{") && (found[part.slice(1, -1)] = parts[index]));
  return found;
}

function decode(db, value) {
  if (Array.isArray(value)) return value.map((item) => decode(db, item));
  if (value === null || typeof value !== "object") return value;
  if ("_integer" in value) return BigInt(value._integer);
  if ("_seconds" in value) return new Timestamp(value._seconds, value._nanoseconds);
  if ("_latitude" in value) return new GeoPoint(value._latitude, value._longitude);
  if ("_base64" in value) return Buffer.from(value._base64, "base64");
  if ("_reference" in value) return db.doc(value._reference);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decode(db, item)]));
}

async function main() {
  const users = new Instance("users", "users");
  const shop = new Instance("shop_users", "users", "shop");
  const orders = new Instance("orders", "users/{user_id}/orders");
  const ann = {
    name: "Ann", age: 30, score: 1.5, big: { _integer: "9007199254740993" }, member: true, nothing: null,
    seen_at: { _seconds: 1767225600, _nanoseconds: 123456000 }, home: { _latitude: 48.1, _longitude: 11.5 },
    photo: { _base64: "aGk=" }, friend: { _reference: "users/bob" },
    tags: ["a", "b", { _reference: "users/bob" }], address: { city: "Munich", floor: { number: 3 } },
    "odd name": "quoted", empty: {}, none: [],
  };

  // Before the extension was installed: no event was logged.
  await users.set("old", { name: "Old", age: 1 }, 0);
  await users.set("lost_later", { name: "Imported", age: 2 }, 0);
  users.import();
  await users.set("ann", ann);
  await users.set("ann", { ...ann, age: 31 });
  await users.set("bob", { name: "Bob", age: 5 });
  await users.delete("bob");
  await users.set("cid", { name: "Cid", age: 1 });
  await users.delete("cid");
  await users.set("cid", { name: "Cid again", age: 2 });
  await users.set("twice", { name: "Twice", age: 1 }, 2);
  await users.set("twice", { name: "Twice", age: 2 }, 3);
  await users.set("gone_twice", { name: "Gone", age: 1 });
  await users.delete("gone_twice", 2);
  // What the extension lost: an update, a delete, a whole document.
  await users.set("lost_update", { name: "Before", age: 1 });
  await users.set("lost_update", { name: "After", age: 2 }, 0);
  await users.set("lost_delete", { name: "Still there", age: 1 });
  await users.delete("lost_delete", 0);
  await users.set("lost_create", { name: "Never logged", age: 1 }, 0);
  // Documents that an import read, and that changed before it stamped its rows.
  await users.set("stale", { name: "Read by the import", age: 1 });
  await users.set("raised", { name: "Read by the import", age: 1 });
  await users.slowImport(["stale", "raised", "ann"], async () => {
    await users.set("stale", { name: "Changed meanwhile", age: 2 });
    await users.delete("raised");
  });

  await shop.set("ann", { name: "Ann of the shop", age: 40 }, 0);
  await shop.set("eve", { name: "Eve", age: 50 });
  shop.import();
  await shop.set("eve", { name: "Eve", age: 51 });

  await orders.set("users/ann/orders/1", { total: 12.5 });
  await orders.set("users/bob/orders/1", { total: 7 });
  await orders.set("users/ann/orders/1", { total: 13.5 });

  const documents = [];
  for (const instance of [users, shop]) {
    for (const found of (await instance.db.collection("users").get()).docs) {
      const name = instance.name(found.ref.path);
      documents.push({ name, at: iso(found.updateTime), created: iso(found.createTime), fields: held[name] });
    }
  }
  for (const found of (await orders.db.collectionGroup("orders").get()).docs) {
    const name = orders.name(found.ref.path);
    documents.push({ name, at: iso(found.updateTime), created: iso(found.createTime), fields: held[name] });
  }
  console.log(JSON.stringify({ changes, documents }));
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
