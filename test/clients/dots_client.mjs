// DoTs, the API's TypeScript client: the Droplet operations, the five destroy calls and errors.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

// Packages are looked up where this script is; the client is elsewhere.
const find = createRequire(process.env.CISTERN_TEST_NODE + "/");
const load = (name) => import(pathToFileURL(find.resolve(name)));
const { createDigitalOceanClient, DigitalOceanApiKeyAuthenticationProvider } = await load("@digitalocean/dots");
const { FetchRequestAdapter } = await load("@microsoft/kiota-http-fetchlibrary");

const { DIGITALOCEAN_API_URL: url, DIGITALOCEAN_TOKEN: token } = process.env;

function connect(token) {
  const adapter = new FetchRequestAdapter(new DigitalOceanApiKeyAuthenticationProvider(token));
  adapter.baseUrl = url;
  return createDigitalOceanClient(adapter).v2;
}

const v2 = connect(token);

async function until(ask, what) {
  for (const end = Date.now() + 30_000; Date.now() < end; await sleep(20)) {
    const answer = await ask();
    if (answer) return answer;
  }
  throw new Error(`waited too long for ${what}`);
}

async function create(name, more = {}) {
  const body = { name, region: "nyc3", size: "s-1vcpu-1gb", image: "debian-12-x64", ...more };
  const { droplet } = await v2.droplets.post(body);
  await until(async () => (await v2.droplets.byDroplet_id(droplet.id).get()).droplet.status === "active", name);
  return droplet.id;
}

async function act(id, body) {
  const { action } = await v2.droplets.byDroplet_id(id).actions.post(body);
  await until(async () => (await v2.actions.byAction_id(action.id).get()).action.status === "completed", body.type);
}

async function refused(status, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.responseStatusCode, status);
    return error;
  }
  assert.fail(`not refused with ${status}`);
}

const cases = {
  async createListDestroy() {
    const ids = [];
    for (const name of ["web-1", "web-2", "web-3"]) ids.push(await create(name, { tags: ["dots"] }));
    const seen = [];
    for (let page = 1; ; page++) {
      const list = await v2.droplets.get({ queryParameters: { page, perPage: 2, tagName: "dots" } });
      seen.push(...list.droplets.map((d) => d.id));
      if (!list.links?.pages?.next && !list.links?.pages?.additionalData?.next) break;
    }
    assert.deepEqual(seen, ids);
    for (const id of ids) await v2.droplets.byDroplet_id(id).delete();
    await until(async () => (await v2.droplets.get()).droplets.length === 0, "the end of all");
  },
  async errors() {
    const missing = await refused(404, () => v2.droplets.byDroplet_id(1).get());
    assert.equal(missing.id, "not_found");
    await refused(401, () => connect("dop_v1_nobody").droplets.get());
    await refused(422, () => v2.droplets.post({ name: "web", region: "nyc3", size: "huge", image: "debian-12-x64" }));
  },
  async actions() {
    const id = await create("power");
    for (const type of ["reboot", "power_cycle", "shutdown", "power_on", "power_off"]) await act(id, { type });
    await act(id, { type: "rename", name: "power-2" });
    await act(id, { type: "snapshot", name: "snap" });
    assert.equal((await v2.droplets.byDroplet_id(id).snapshots.get()).snapshots[0].name, "snap");
    assert.equal((await v2.droplets.byDroplet_id(id).actions.get()).actions.length, 8);
    await v2.droplets.byDroplet_id(id).neighbors.get();
  },
  async destroyWithAssociatedResources() {
    for (const kind of ["selective", "dangerous"]) {
      const id = await create(kind);
      await act(id, { type: "snapshot", name: `${kind}-snap` });
      const destroy = v2.droplets.byDroplet_id(id).destroy_with_associated_resources;
      const { snapshots } = await destroy.get();
      assert.equal(snapshots[0].name, `${kind}-snap`);
      if (kind === "selective") await destroy.selective.delete({ snapshots: [snapshots[0].id] });
      else await destroy.dangerous.delete({ headers: { "X-Dangerous": "true" } });
      const status = await until(async () => {
        const status = await destroy.status.get();
        return status.completedAt && status;
      }, "the destroy");
      assert.equal(status.failures, 0);
      assert.ok(status.resources.snapshots[0].destroyedAt);
      await refused(404, () => v2.droplets.byDroplet_id(id).get());
      await refused(422, () => destroy.retry.post()); // there is nothing left to do
    }
  },
  async volumes() {
    const made = await v2.volumes.post({ name: "data", region: "nyc3", sizeGigabytes: 10 });
    assert.equal((await v2.volumes.byVolume_id(made.volume.id).get()).volume.sizeGigabytes, 10);
    await v2.volumes.byVolume_id(made.volume.id).delete();
  },
};

for (const [name, run] of Object.entries(cases)) {
  const result = { case: name };
  try {
    await run();
  } catch (error) {
    result.error = `${error.stack}\n${JSON.stringify(error)}`;
  }
  console.log(JSON.stringify(result));
}
