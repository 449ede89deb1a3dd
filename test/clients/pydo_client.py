"""pydo, the API's official Python client: every Droplet operation, through its usual and its asynchronous client."""

import asyncio
import inspect
import sys

import azure.core.exceptions as errors

import harness
from harness import TOKEN, URL, case, droplet, equal

ASYNC = sys.argv[1:] == ["aio"]
if ASYNC:
    from pydo.aio import Client
else:
    from pydo import Client

used = set()


def connect(token=TOKEN):
    return Client(token=token, endpoint=URL)


class Caller:
    """Calls a part of the client, which may be asynchronous, and allows plain HTTP."""

    def __init__(self, part, path):
        self.part, self.path = part, path

    def __getattr__(self, name):
        method = getattr(self.part, name)

        async def call(*args, **kwargs):
            used.add(f"{self.path}.{name}")
            result = method(*args, enforce_https=False, **kwargs)
            return await result if inspect.isawaitable(result) else result

        return call


class Connection:
    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return Caller(getattr(self.client, name), name)


do = Connection(connect())


async def completed(action):
    """Waits for an action as the examples of pydo do."""
    for _ in range(1500):
        if action["status"] != "in-progress":
            equal(action["status"], "completed")
            return action
        await asyncio.sleep(0.02)
        action = (await do.actions.get(action["id"]))["action"]
    raise AssertionError(f"never completed: {action}")


async def create(name, **more):
    made = await do.droplets.create(body=droplet(name, **more))
    await completed((await do.actions.get(made["links"]["actions"][0]["id"]))["action"])
    return made["droplet"]["id"]


async def act(droplet_id, kind, **more):
    started = (await do.droplet_actions.post(droplet_id, body={"type": kind, **more}))["action"]
    equal((started["type"], started["resource_id"]), (kind, droplet_id))
    return await completed(started)


async def pages(method, key, **filters):
    """Reads a list page by page for as long as there is a link to the next."""
    page, rows = 1, []
    while True:
        answer = await method(page=page, per_page=2, **filters)
        rows += answer[key]
        if "next" not in (answer["links"].get("pages") or {}):
            equal(len(rows), answer["meta"]["total"])
            return rows
        page += 1


async def refused(status, call, kind=errors.HttpResponseError, message=None):
    """pydo raises what is refused, unless the reference documents the status for the call."""
    try:
        answer = await call
    except errors.HttpResponseError as error:
        equal((type(error), error.status_code), (kind, status))
        if message is not None:
            assert message in str(error), error
        return
    raise AssertionError(f"not refused: {answer}")


async def not_found(call):
    """A documented 404 is returned, not raised."""
    answer = await call
    equal((answer["id"], answer["message"]), ("not_found", "The resource you were accessing could not be found."))


@case
async def create_get_list_destroy():
    one = await create("web-1", tags=["pydo"])
    several = await do.droplets.create(body={**droplet("x", tags=["pydo"]), "name": None, "names": ["web-2", "web-3"]})
    ids = [one] + [d["id"] for d in several["droplets"]]
    for link in several["links"]["actions"]:
        await completed((await do.actions.get(link["id"]))["action"])
    got = (await do.droplets.get(one))["droplet"]
    equal((got["status"], got["name"], got["region"]["slug"]), ("active", "web-1", "nyc3"))
    equal([d["id"] for d in await pages(do.droplets.list, "droplets")], ids)
    equal([d["id"] for d in await pages(do.droplets.list, "droplets", tag_name="pydo")], ids)
    equal([d["id"] for d in await pages(do.droplets.list, "droplets", name="WEB-2")], ids[1:2])
    equal(await pages(do.droplets.list, "droplets", type="gpus"), [])
    for droplet_id in ids:
        equal(await do.droplets.destroy(droplet_id), None)
    await not_found(do.droplets.destroy(1))
    for _ in range(1500):
        if not (await do.droplets.list())["droplets"]:
            break
        await asyncio.sleep(0.02)
    await not_found(do.droplets.get(ids[0]))


@case
async def errors_as_raised():
    await refused(422, do.droplets.create(body=droplet("web", size="huge")),
                  message="You specified an invalid size for Droplet creation.")
    nobody = Connection(connect("dop_v1_nobody"))
    await refused(401, nobody.droplets.list(), errors.ClientAuthenticationError, "Unable to authenticate you.")
    if ASYNC:
        await nobody.client.close()
    await not_found(do.droplet_actions.list(1))
    await not_found(do.droplet_actions.get(1, 1))
    await not_found(do.droplet_actions.post(1, body={"type": "reboot"}))
    one = await create("web")
    await refused(422, do.droplet_actions.post(one, body={"type": "explode"}))
    await do.droplets.destroy(one)


@case
async def power():
    one = await create("power")
    for kind in ("reboot", "power_cycle", "shutdown", "power_on", "power_off", "power_on"):
        await act(one, kind)
    action = await act(one, "rename", name="power-2")
    equal((await do.droplet_actions.get(one, action["id"]))["action"]["status"], "completed")
    listed = await pages(lambda **kw: do.droplet_actions.list(one, **kw), "actions")
    equal([a["type"] for a in listed][:2], ["rename", "power_on"])
    equal((await do.droplets.get(one))["droplet"]["name"], "power-2")
    await do.droplets.destroy(one)


@case
async def actions_by_tag():
    ids = [await create(f"tagged-{i}", tags=["by-tag"]) for i in range(2)]
    started = await do.droplet_actions.post_by_tag(tag_name="by-tag", body={"type": "power_off"})
    for action in started["actions"]:
        await completed(action)
    equal({(await do.droplets.get(one))["droplet"]["status"] for one in ids}, {"off"})


@case
async def destroy_by_tag():
    one = await create("tagged", tags=["end"])
    equal(await do.droplets.destroy_by_tag(tag_name="end"), None)
    for _ in range(1500):
        if "id" in await do.droplets.get(one):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it is still there")


@case
async def snapshots():
    one = await create("snap")
    for i in range(3):
        await act(one, "snapshot", name=f"snap-{i}")
    listed = await pages(lambda **kw: do.droplets.list_snapshots(one, **kw), "snapshots")
    equal([s["name"] for s in listed], ["snap-0", "snap-1", "snap-2"])
    # Only a backup of the Droplet itself can be restored.
    await refused(422, do.droplet_actions.post(one, body={"type": "restore", "image": listed[0]["id"]}))


@case
async def resize_and_rebuild():
    one = await create("resize")
    await act(one, "power_off")
    await act(one, "resize", size="s-1vcpu-2gb", disk=True)
    equal((await do.droplets.get(one))["droplet"]["size_slug"], "s-1vcpu-2gb")
    await act(one, "rebuild", image="debian-12-x64")
    await act(one, "password_reset")
    await act(one, "enable_ipv6")


@case
async def neighbours():
    one = await create("near")
    assert isinstance((await do.droplets.list_neighbors(one))["droplets"], list)
    await not_found(do.droplets.list_neighbors(1))


@case
async def neighbours_of_all():
    assert isinstance((await do.droplets.list_neighbors_ids())["neighbor_ids"], list)


@case
async def kernels():
    one = await create("kernels")
    assert isinstance((await do.droplets.list_kernels(one))["kernels"], list)


@case
async def firewalls():
    one = await create("walled")
    equal((await do.droplets.list_firewalls(one))["firewalls"], [])


@case
async def backups():
    one = await create("kept")
    equal((await do.droplets.list_backups(one))["backups"], [])


@case
async def backup_policies():
    policy = {"plan": "weekly", "weekday": "SUN", "hour": 4}
    one = await create("policy")
    await act(one, "enable_backups", backup_policy=policy)
    equal((await do.droplets.get_backup_policy(one))["policy"]["backup_policy"]["plan"], "weekly")
    await act(one, "change_backup_policy", backup_policy={"plan": "daily", "hour": 20})
    assert str(one) in (await do.droplets.list_backup_policies())["policies"]
    await act(one, "disable_backups")


@case
async def backup_policy_calls():
    await do.droplets.list_backup_policies()


@case
async def backup_policy_of_one():
    await not_found(do.droplets.get_backup_policy(1))


@case
async def supported_backup_policies():
    listed = (await do.droplets.list_supported_backup_policies())["supported_policies"]
    equal({p["name"] for p in listed}, {"daily", "weekly"})


async def with_resources(name):
    """A Droplet with one associated resource of each kind."""
    one = await create(name)
    volume = (await do.volumes.create(body={"name": f"{name}-data", "region": "nyc3", "size_gigabytes": 10}))["volume"]["id"]
    attach = {"type": "attach", "droplet_id": one}
    await completed((await do.volume_actions.post_by_id(volume, body=attach))["action"])
    await do.volume_snapshots.create(volume, body={"name": f"{name}-copy"})
    await act(one, "snapshot", name=f"{name}-snap")
    made = await do.reserved_ips.create(body={"droplet_id": one})
    await completed((await do.actions.get(made["links"]["actions"][0]["id"]))["action"])
    return one


RESOURCES = ("reserved_ips", "snapshots", "volumes", "volume_snapshots")


async def destroyed(one):
    """Asks for the status until the destroy has ended."""
    for _ in range(1500):
        status = await do.droplets.get_destroy_associated_resources_status(one)
        if status.get("completed_at"):
            return status
        await asyncio.sleep(0.02)
    raise AssertionError(f"never completed: {status}")


@case
async def destroy_selective():
    one = await with_resources("selective")
    listed = await do.droplets.list_associated_resources(one)
    equal({kind: len(listed[kind]) for kind in RESOURCES}, dict.fromkeys(RESOURCES, 1))
    await refused(422, do.droplets.destroy_with_associated_resources_selective(one, body={"volumes": ["no-such"]}))
    chosen = {kind: [listed[kind][0]["id"]] for kind in ("volumes", "reserved_ips")}
    equal(await do.droplets.destroy_with_associated_resources_selective(one, body=chosen), None)
    status = await destroyed(one)
    equal((status["failures"], status["droplet"]["id"]), (0, str(one)))
    equal({kind: len(status["resources"][kind]) for kind in RESOURCES},
          {"reserved_ips": 1, "snapshots": 0, "volumes": 1, "volume_snapshots": 0})
    await not_found(do.droplets.get(one))


@case
async def destroy_dangerous():
    one = await with_resources("dangerous")
    await refused(422, do.droplets.destroy_with_associated_resources_dangerous(one, x_dangerous=False))
    equal(await do.droplets.destroy_with_associated_resources_dangerous(one, x_dangerous=True), None)
    status = await destroyed(one)
    equal(status["failures"], 0)
    for kind in RESOURCES:
        assert status["resources"][kind][0]["destroyed_at"], status
    await not_found(do.droplets.list_associated_resources(one))


@case
async def destroy_retry():
    await not_found(do.droplets.destroy_retry_with_associated_resources(1))
    await not_found(do.droplets.get_destroy_associated_resources_status(1))
    one = await with_resources("retried")
    harness.fault("volume.delete", "retried-data", "disk is on fire")
    await do.droplets.destroy_with_associated_resources_dangerous(one, x_dangerous=True)
    status = await destroyed(one)
    equal((status["failures"], status["resources"]["volumes"][0]["error_message"]), (1, "disk is on fire"))
    equal(await do.droplets.destroy_retry_with_associated_resources(one), None)
    equal((await destroyed(one))["failures"], 0)


@case
async def every_method_is_called():
    parts = {"droplets": do.client.droplets, "droplet_actions": do.client.droplet_actions}
    harness.all_used([f"{name}.{m}" for name, part in parts.items() for m in harness.methods(part)], used)


async def close():
    if ASYNC:
        await do.client.close()


loop = asyncio.new_event_loop()
harness.run(lambda function: loop.run_until_complete(function()))
loop.run_until_complete(close())
