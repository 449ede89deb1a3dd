"""DOBOTO, a client of 2017 that many playbooks still use: every method of its Droplet class.

It asks for /v2//droplets, sends a body of null with every request, and booleans as strings.
"""

from doboto.DO import DO
from doboto.exception import DOBOTOException, DOBOTONotFoundException

import harness
from harness import TOKEN, URL, case, droplet, equal, until

used = set()
do = DO(TOKEN, url=URL + "/v2/", agent="DOBOTO")
droplets = harness.Watched(do.droplet, used)

# DOBOTO asks once a second at most.
WAIT = {"wait": True, "poll": 1}


def refused(kind, call, code=None):
    try:
        answer = call()
    except DOBOTOException as error:
        equal(type(error), kind)
        equal((getattr(error, "result", None) or {}).get("id"), code)
        return
    raise AssertionError(f"not refused: {answer}")


def create(name, **more):
    return droplets.create(droplet(name, **more), **WAIT)["id"]


def completed(action):
    equal(action["status"], "completed")
    return action


@case
def create_one_and_several():
    one = droplets.create(droplet("web-1", tags=["doboto"], ipv6=True, private_networking=True), **WAIT)
    equal((one["status"], one["name"]), ("active", "web-1"))
    assert droplets.ready(one, {"ipv6": True, "private_networking": True, "tags": ["doboto"]})
    several = {**droplet("x"), "names": ["web-2", "web-3"]}
    del several["name"]
    made = droplets.create(several, **WAIT)
    equal([d["status"] for d in made], ["active", "active"])
    equal(droplets.info(made[0]["id"])["name"], "web-2")
    equal([d["name"] for d in droplets.list()], ["web-1", "web-2", "web-3"])
    equal([d["name"] for d in droplets.list(tag_name="doboto")], ["web-1"])


@case
def present():
    existing, made = droplets.present(droplet("web-1"), **WAIT)
    equal((existing["name"], made), ("web-1", None))
    several = {**droplet("x"), "names": ["web-1", "web-4"]}
    del several["name"]
    merged, made = droplets.present(several, **WAIT)
    equal(([d["name"] for d in merged], [d["name"] for d in made]), (["web-1", "web-4"], ["web-4"]))
    equal(droplets.present(several)[1], [])


@case
def pages_are_followed():
    names = [f"many-{i}" for i in range(201)]
    for i in range(0, len(names), 10):
        batch = {**droplet("x", tags=["many"]), "names": names[i:i + 10]}
        del batch["name"]
        droplets.create(batch)
    equal([d["name"] for d in droplets.list(tag_name="many")], names)


@case
def errors_as_raised():
    refused(DOBOTONotFoundException, lambda: droplets.info(1))
    refused(DOBOTOException, lambda: droplets.destroy(1), "not_found")
    refused(DOBOTOException, lambda: droplets.create(droplet("web", size="huge")), "unprocessable_entity")
    refused(DOBOTOException, lambda: DO("dop_v1_nobody", url=URL + "/v2/").droplet.list(), "unauthorized")
    refused(DOBOTOException, lambda: droplets.backup_list(1), "not_found")


@case
def power():
    one = create("power")
    for method in (droplets.reboot, droplets.power_cycle, droplets.shutdown, droplets.power_on, droplets.power_off):
        completed(method(one, **WAIT))
    action = completed(droplets.rename(one, "power-2", **WAIT))
    equal(droplets.action_info(one, action["id"]), action)
    equal([a["type"] for a in droplets.action_list(one)][:2], ["rename", "power_off"])
    completed(droplets.action(one, type="power_on", **WAIT))


@case
def by_tag():
    ids = [create(f"tagged-{i}", tags=["by-tag"]) for i in range(2)]
    for method in (droplets.power_off, droplets.power_on, droplets.power_cycle, droplets.shutdown, droplets.power_on):
        for action in method(tag_name="by-tag", **WAIT):
            completed(action)
    for action in droplets.snapshot_create(tag_name="by-tag", snapshot_name="both", **WAIT):
        completed(action)
    for method in (droplets.private_networking_enable, droplets.ipv6_enable, droplets.backup_enable, droplets.backup_disable):
        for action in method(tag_name="by-tag", **WAIT):
            completed(action)
    droplets.destroy(tag_name="by-tag")
    until(lambda: not droplets.list(tag_name="by-tag"), "the end of both")
    refused(DOBOTONotFoundException, lambda: droplets.info(ids[0]))


@case
def destroy():
    one = create("ending")
    equal(droplets.destroy(one), None)
    until(lambda: one not in [d["id"] for d in droplets.list()], "the Droplet's end")


@case
def snapshots():
    one = create("snap")
    completed(droplets.snapshot_create(one, snapshot_name="first", **WAIT))
    equal([s["name"] for s in droplets.snapshot_list(one)], ["first"])


@case
def restore():
    one = create("restored")
    completed(droplets.snapshot_create(one, snapshot_name="before", **WAIT))
    # Only a backup of the Droplet itself can be restored.
    refused(DOBOTOException, lambda: droplets.restore(one, droplets.snapshot_list(one)[0]["id"], **WAIT), "unprocessable_entity")


@case
def rebuild():
    completed(droplets.rebuild(create("rebuilt"), "debian-12-x64", **WAIT))


@case
def resize():
    one = create("resized")
    completed(droplets.power_off(one, **WAIT))
    completed(droplets.resize(one, "s-1vcpu-2gb", disk=True, **WAIT))
    equal((droplets.info(one)["size_slug"], droplets.info(one)["disk"]), ("s-1vcpu-2gb", 50))


@case
def password_reset():
    completed(droplets.password_reset(create("forgotten"), **WAIT))


@case
def ipv6_enable():
    one = create("six")
    completed(droplets.ipv6_enable(one, **WAIT))
    assert droplets.info(one)["networks"]["v6"]


@case
def private_networking_enable():
    completed(droplets.private_networking_enable(create("private"), **WAIT))


@case
def backup_enable():
    completed(droplets.backup_enable(create("kept"), **WAIT))


@case
def backup_disable():
    one = create("unkept", backups=True)
    completed(droplets.backup_disable(one, **WAIT))
    equal(droplets.backup_list(one), [])


@case
def kernel_list():
    assert isinstance(droplets.kernel_list(create("kernels")), list)


@case
def kernel_update():
    one = create("kernel")
    kernels = droplets.kernel_list(one)
    refused(DOBOTOException, lambda: droplets.kernel_update(one, 1), "unprocessable_entity")
    if kernels:
        completed(droplets.kernel_update(one, kernels[0]["id"], **WAIT))


@case
def neighbor_list():
    assert isinstance(droplets.neighbor_list(create("near")), list)


@case
def droplet_neighbor_list():
    assert isinstance(droplets.droplet_neighbor_list(), list)


@case
def every_method_is_called():
    helpers = {"headers", "request", "pages", "action_result", "actions_result"}
    expected = set(harness.methods(do.droplet)) - helpers
    equal(len(expected), 30)
    harness.all_used(expected, used)


harness.run()
