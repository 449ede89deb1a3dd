"""gradient, the Python client whose gpu_droplets speak to the same API: every Droplet operation."""

import gradient

import harness
from harness import TOKEN, URL, case, droplet, equal, until

used = set()
client = gradient.Gradient(access_token=TOKEN, base_url=URL, max_retries=0)
gpu = harness.Watched(client.gpu_droplets, used)


def completed(started, droplet_id):
    """Waits for an action to complete."""
    until(lambda: gpu.actions.retrieve(started.action.id, droplet_id=droplet_id).action.status == "completed", started)
    return started.action


def create(name, **more):
    made = gpu.create(**droplet(name, **more))
    until(lambda: gpu.retrieve(made.droplet.id).droplet.status == "active", name)
    return made.droplet.id


def act(droplet_id, kind, **more):
    return completed(gpu.actions.initiate(droplet_id, type=kind, **more), droplet_id)


def refused(kind, status, call):
    try:
        answer = call()
    except gradient.APIStatusError as error:
        equal((type(error), error.status_code), (kind, status))
        return error.body["message"]
    raise AssertionError(f"not refused: {answer}")


def gone(droplet_id):
    def ask():
        try:
            gpu.retrieve(droplet_id)
        except gradient.NotFoundError:
            return True

    until(ask, "the Droplet to be gone")


def pages(method, key):
    """Reads a list for as long as there is a next page."""
    page, rows = 1, []
    while True:
        answer = method(page=page, per_page=2)
        rows += getattr(answer, key)
        links = answer.links.pages if answer.links else None
        if not getattr(links, "next", None):
            equal(len(rows), answer.meta.total)
            return rows
        page += 1


@case
def create_list_delete():
    ids = [create(f"web-{i}", tags=["gradient"]) for i in range(3)]
    made = gpu.create(**{**droplet("x"), "name": gradient.omit, "names": ["many-1", "many-2"]})
    equal([d.name for d in made.droplets], ["many-1", "many-2"])
    ids += [d.id for d in made.droplets]
    equal([d.id for d in pages(gpu.list, "droplets")], ids)
    equal([d.id for d in gpu.list(tag_name="gradient").droplets], ids[:3])
    equal(gpu.list(type="gpus").droplets, [])
    for one in ids:
        until(lambda: gpu.retrieve(one).droplet.status == "active", "the Droplet")
        equal(gpu.delete(one), None)
        gone(one)


@case
def gpu_droplet():
    one = create("gpu", region="nyc2", size="gpu-h100x1-80gb", image="gpu-h100x1-base")
    got = gpu.list(type="gpus").droplets
    equal([(d.id, d.gpu_info.model) for d in got], [(one, "nvidia_h100")])
    gpu.delete(one)


@case
def errors_as_raised():
    refused(gradient.UnprocessableEntityError, 422, lambda: gpu.create(**droplet("web", size="huge")))
    for call in (
        lambda: gpu.retrieve(1),
        lambda: gpu.delete(1),
        lambda: gpu.list_neighbors(1),
        lambda: gpu.actions.initiate(1, type="reboot"),
        lambda: gpu.actions.list(1),
        lambda: gpu.destroy_with_associated_resources.list(1),
        lambda: gpu.destroy_with_associated_resources.delete_selective(1),
        lambda: gpu.destroy_with_associated_resources.delete_dangerous(1, x_dangerous=True),
        lambda: gpu.destroy_with_associated_resources.check_status(1),
        lambda: gpu.destroy_with_associated_resources.retry(1),
    ):
        text = refused(gradient.NotFoundError, 404, call)
        equal(text, "The resource you were accessing could not be found.")
    nobody = gradient.Gradient(access_token="dop_v1_nobody", base_url=URL, max_retries=0)
    refused(gradient.AuthenticationError, 401, nobody.gpu_droplets.list)


@case
def actions():
    one = create("power")
    for kind in ("reboot", "power_cycle", "shutdown", "power_on", "power_off"):
        act(one, kind)
    act(one, "rename", name="power-2")
    for i in range(3):
        act(one, "snapshot", name=f"snap-{i}")
    equal(len(pages(lambda **kw: gpu.actions.list(one, **kw), "actions")), 10)
    equal([s.name for s in pages(lambda **kw: gpu.list_snapshots(one, **kw), "snapshots")], ["snap-0", "snap-1", "snap-2"])
    gpu.list_neighbors(one)
    gpu.delete(one)


@case
def resize():
    one = create("resize")
    act(one, "power_off")
    act(one, "resize", size="s-1vcpu-2gb", disk=True)
    equal(gpu.retrieve(one).droplet.size_slug, "s-1vcpu-2gb")
    act(one, "rebuild", image="debian-12-x64")
    gpu.delete(one)


@case
def actions_by_tag():
    one = create("tagged", tags=["by-tag"])
    for action in gpu.actions.bulk_initiate(tag_name="by-tag", type="power_off").actions:
        until(lambda: gpu.actions.retrieve(action.id, droplet_id=one).action.status == "completed", action)
    equal(gpu.retrieve(one).droplet.status, "off")


@case
def delete_by_tag():
    one = create("ending", tags=["end"])
    equal(gpu.delete_by_tag(tag_name="end"), None)
    gone(one)


@case
def firewalls():
    equal(gpu.list_firewalls(create("walled")).firewalls, [])


@case
def kernels():
    assert isinstance(gpu.list_kernels(create("kernels")).kernels, list)


@case
def backups():
    equal(gpu.backups.list(create("kept")).backups, [])


@case
def backup_policies():
    one = create("policy")
    act(one, "enable_backups", backup_policy={"plan": "weekly", "weekday": "SUN", "hour": 4})
    equal(gpu.backups.retrieve_policy(one).policy.backup_policy.plan, "weekly")
    assert str(one) in gpu.backups.list_policies().policies


@case
def backup_calls():
    gpu.backups.list_policies()


@case
def backup_policy_of_one():
    refused(gradient.NotFoundError, 404, lambda: gpu.backups.retrieve_policy(1))


@case
def supported_backup_policies():
    equal({p.name for p in gpu.backups.list_supported_policies().supported_policies}, {"daily", "weekly"})


def with_volume(name):
    one = create(name)
    volumes = client.gpu_droplets.volumes
    volume = volumes.create(name=f"{name}-data", region="nyc3", size_gigabytes=10).volume.id
    started = volumes.actions.initiate_by_id(volume, type="attach", droplet_id=one)
    until(lambda: volumes.actions.retrieve(started.action.id, volume_id=volume).action.status == "completed", started)
    act(one, "snapshot", name=f"{name}-snap")
    return one


def destroyed(one):
    """Asks for the status until the destroy has ended."""
    status = []

    def ask():
        status[:] = [gpu.destroy_with_associated_resources.check_status(one)]
        return status[0].completed_at

    until(ask, "the destroy")
    return status[0]


@case
def destroy_selective():
    one = with_volume("selective")
    listed = gpu.destroy_with_associated_resources.list(one)
    equal(([v.name for v in listed.volumes], [s.name for s in listed.snapshots]), (["selective-data"], ["selective-snap"]))
    gpu.destroy_with_associated_resources.delete_selective(one, snapshots=[listed.snapshots[0].id])
    status = destroyed(one)
    equal((status.failures, status.droplet.id, status.resources.volumes), (0, str(one), []))
    assert status.resources.snapshots[0].destroyed_at and status.droplet.destroyed_at


@case
def destroy_dangerous_and_retry():
    one = with_volume("dangerous")
    harness.fault("volume.delete", "dangerous-data", "disk is on fire")
    refused(gradient.UnprocessableEntityError, 422,
            lambda: gpu.destroy_with_associated_resources.delete_dangerous(one, x_dangerous=False))
    gpu.destroy_with_associated_resources.delete_dangerous(one, x_dangerous=True)
    status = destroyed(one)
    equal((status.failures, status.resources.volumes[0].error_message), (1, "disk is on fire"))
    gpu.destroy_with_associated_resources.retry(one)
    equal(destroyed(one).failures, 0)


@case
def every_method_is_called():
    parts = client.gpu_droplets
    expected = [m for m in harness.methods(parts) if "." not in m]
    for name in ("actions", "backups", "destroy_with_associated_resources"):
        expected += [f"{name}.{m}" for m in harness.methods(getattr(parts, name))]
    harness.all_used(expected, used)


harness.run()
