package control

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/store"
)

// mostCounted is more than there is of anything, and leaves room to add up.
const mostCounted = 1 << 60

// stateTimesEnd is the last time that a state may have in it. What is planned
// lies beyond the end of the clock, but all times are within a Duration.
var stateTimesEnd = clockEnds.AddDate(50, 0, 0)

// stateRow is a row whose columns are of their kinds already. Those that an
// earlier version did not have are missing, and hold their zero value.
type stateRow store.StateRow

func (r stateRow) text(column string) string {
	text, _ := r[column].(string)
	return text
}

func (r stateRow) number(column string) int64 {
	n, _ := r[column].(int64)
	return n
}

// columnCheck holds a column to what requests are held to. Without a column it
// is about several of a row.
type columnCheck struct {
	column string
	check  func(r stateRow, column string) error
}

// stateChecks are those of each table, beside those of all numbers.
var stateChecks = map[string][]columnCheck{
	"accounts": {{"uuid", aUUID}, {"project_id", aUUID}, {"email", aText(cloud.CheckEmail)}},
	"ssh_keys": {{"name", aText(checkKeyName)}, {"fingerprint", aFingerprint}},
	"vpcs": {
		{"id", aUUID}, {"name", aVPCName}, {"description", aText(cloud.CheckVPCDescription)}, {"ip_range", aVPCRange},
	},
	"vpc_peerings": {{"id", aUUID}, {"name", aText(cloud.CheckPeeringName)}, {"peer_id", anotherVPC}},
	"images":       {{"name", anImageName}, {"description", aText(cloud.CheckImageDescription)}},
	"droplets": {
		{"name", aText(cloud.CheckDropletName)}, {"vcpus", atLeastOne}, {"memory", atLeastOne}, {"disk", atLeastOne},
		{"user_data", someUserData}, {"public_keys", publicKeys}, {"", aBackupPolicy},
	},
	"volumes":          {{"id", aUUID}, {"", aVolume}},
	"volume_snapshots": {{"id", aUUID}, {"name", aText(cloud.CheckImageName)}, {"min_disk_size", aVolumeSize}},
	"tags":             {{"name", aText(cloud.CheckTag)}, {"folded", aFoldedName}},
	"firewalls": {
		{"id", aUUID}, {"name", aText(cloud.CheckFirewallName)}, {"inbound", firewallRules}, {"outbound", firewallRules},
	},
	"firewall_tags": {{"name", aText(cloud.CheckTag)}},
}

// checkRows finds what no request could have made. An error names its place.
func checkRows(rows store.StateRows) error {
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		for i, row := range rows[table] {
			if err := checkRow(stateChecks[table], stateRow(row)); err != nil {
				return fmt.Errorf("%s[%d]%w", table, i, err)
			}
		}
	}
	// What is carried is simulated: real machines stay where they are.
	simulated := func(rows store.StateRows) error { return checkAddresses(rows, cloud.SimulatedAddresses()) }
	for _, check := range []func(store.StateRows) error{simulated, checkOverlaps, checkMentions} {
		if err := check(rows); err != nil {
			return err
		}
	}
	return nil
}

// checkRow returns an error that begins with the place in the row.
func checkRow(checks []columnCheck, row stateRow) error {
	for _, column := range slices.Sorted(maps.Keys(row)) {
		if err := checkNumber(column, row[column]); err != nil {
			return fmt.Errorf(".%s: %w", column, err)
		}
	}
	for _, c := range checks {
		err := c.check(row, c.column)
		switch {
		case err != nil && c.column == "":
			return fmt.Errorf(": %w", err)
		case err != nil:
			return fmt.Errorf(".%s: %w", c.column, err)
		}
	}
	return nil
}

// checkNumber refuses numbers and times that are out of all proportion.
func checkNumber(column string, v any) error {
	switch v := v.(type) {
	case int64:
		if isTimeColumn(column) {
			if v < 0 || v > stateTimesEnd.UnixMicro() {
				return fmt.Errorf("%d is no time between %s and %s in microseconds",
					v, cloud.FormatTime(time.Unix(0, 0)), cloud.FormatTime(stateTimesEnd))
			}
			return nil
		}
		if v < 0 || v > mostCounted {
			return fmt.Errorf("it is %d, and has to be between 0 and %d", v, int64(mostCounted))
		}
	case float64:
		if v < 0 || v > mostCounted {
			return fmt.Errorf("it is %g, and has to be between 0 and %d", v, int64(mostCounted))
		}
	}
	return nil
}

func isTimeColumn(column string) bool {
	return strings.HasSuffix(column, "_at") ||
		slices.Contains([]string{"backup_window", "backup_due", "failing_since", "leased_until"}, column)
}

func aText(check func(string) error) func(stateRow, string) error {
	return func(r stateRow, column string) error { return check(r.text(column)) }
}

func aUUID(r stateRow, column string) error {
	if id := r.text(column); !cloud.IsUUID(id) {
		return fmt.Errorf("%q is no UUID in small letters", id)
	}
	return nil
}

func atLeastOne(r stateRow, column string) error {
	if n := r.number(column); n < 1 {
		return fmt.Errorf("it is %d, and has to be 1 or more", n)
	}
	return nil
}

func checkKeyName(name string) error {
	if name == "" {
		return errors.New("a key needs a name")
	}
	return cloud.CheckKeyName(name)
}

func aFingerprint(r stateRow, column string) error {
	want, err := cloud.KeyFingerprint(r.text("public_key"))
	if err != nil {
		return fmt.Errorf("that of its public_key: %w", err)
	}
	return isDerived(r, column, want)
}

// isDerived compares a column with what follows from others.
func isDerived(r stateRow, column, want string) error {
	if got := r.text(column); got != want {
		return fmt.Errorf("it is %q, and has to be %q", got, want)
	}
	return nil
}

// aVPCName accepts the names that default VPCs are given, whatever a catalogue
// calls its regions.
func aVPCName(r stateRow, column string) error {
	name := r.text(column)
	if r["is_default"] == true && name == "default-"+r.text("region") {
		return nil
	}
	return cloud.CheckVPCName(name)
}

func aVPCRange(r stateRow, column string) error {
	_, err := cloud.CheckVPCRange(r.text(column))
	return err
}

func anotherVPC(r stateRow, column string) error {
	if r.text(column) == r.text("vpc_id") {
		return errors.New("a VPC has no peering with itself")
	}
	return nil
}

// longestMadeName is how long the names are that Droplets' snapshots and backups
// get by themselves: that of the Droplet with a time.
const longestMadeName = 255 + len("-1577836800000")

func anImageName(r stateRow, column string) error {
	name := r.text(column)
	if r.text("type") != string(cloud.ImageCustom) && len(name) <= longestMadeName {
		name = name[:min(len(name), 255)]
	}
	return cloud.CheckImageName(name)
}

func someUserData(r stateRow, column string) error {
	if n := len(r.text(column)); n > cloud.MaxUserData {
		return fmt.Errorf("it has %d bytes, and there are %d at most", n, cloud.MaxUserData)
	}
	return nil
}

func publicKeys(r stateRow, column string) error {
	var keys []string
	if err := json.Unmarshal([]byte(r.text(column)), &keys); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := cloud.KeyFingerprint(key); err != nil {
			return err
		}
	}
	return nil
}

func aBackupPolicy(r stateRow, _ string) error {
	is := cloud.BackupPolicy{
		Plan: cloud.BackupPlan(r.text("backup_plan")), Weekday: r.text("backup_weekday"), Hour: r.number("backup_hour"),
	}
	if is == (cloud.BackupPolicy{}) {
		return nil
	}
	want, err := is.Check()
	switch {
	case err != nil:
		return err
	case !is.Enabled():
		return errors.New("without a backup_plan, backup_weekday has to be empty and backup_hour 0")
	case is != want:
		return fmt.Errorf("with the backup_plan %s, backup_weekday is %q, and has to be %q", is.Plan, is.Weekday, want.Weekday)
	}
	return nil
}

func aVolume(r stateRow, _ string) error {
	return cloud.Volume{
		Name: r.text("name"), Description: r.text("description"), SizeGigabytes: r.number("size_gigabytes"),
		FilesystemType: r.text("filesystem_type"), FilesystemLabel: r.text("filesystem_label"),
	}.Check()
}

func aVolumeSize(r stateRow, column string) error { return cloud.CheckVolumeSize(r.number(column)) }

func aFoldedName(r stateRow, column string) error {
	return isDerived(r, column, strings.ToLower(r.text("name")))
}

// firewallRules refuses rules that could not be ones, and those that are not
// written as they are kept: nothing writes them so later.
func firewallRules(r stateRow, column string) error {
	rules, err := rulesOf(r, column)
	if err != nil {
		return err
	}
	kept := slices.Clone(rules)
	if err := cloud.CheckFirewallRules(kept); err != nil {
		return err
	}
	for i, rule := range kept {
		if rules[i].Protocol != rule.Protocol || rules[i].Ports != rule.Ports || rules[i].Action != rule.Action {
			return fmt.Errorf("rule %d has to be of protocol %q, ports %q and action %q", i, rule.Protocol, rule.Ports, rule.Action)
		}
	}
	return nil
}

func rulesOf(r stateRow, column string) (rules []cloud.FirewallRule, err error) {
	return rules, json.Unmarshal([]byte(r.text(column)), &rules)
}

// mention is what a rule of a firewall names.
type mention struct{ firewall, kind, name string }

// checkMentions compares the mentions with the rules: by them alone a firewall
// learns of what its rules name.
func checkMentions(rows store.StateRows) error {
	there := map[mention]bool{}
	for _, row := range rows["firewall_mentions"] {
		r := stateRow(row)
		there[mention{r.text("firewall_id"), r.text("kind"), r.text("name")}] = true
	}
	named := map[mention]bool{}
	for i, row := range rows["firewalls"] {
		of, err := mentionsOf(stateRow(row))
		if err != nil {
			return fmt.Errorf("firewalls[%d]: %w", i, err)
		}
		for _, m := range of {
			if named[m] = true; !there[m] {
				return fmt.Errorf("firewalls[%d]: its rules name the %s %s, which is not among firewall_mentions", i, m.kind, m.name)
			}
		}
	}
	for i, row := range rows["firewall_mentions"] {
		r := stateRow(row)
		if m := (mention{r.text("firewall_id"), r.text("kind"), r.text("name")}); !named[m] {
			return fmt.Errorf("firewall_mentions[%d]: no rule of its firewall names the %s %s", i, m.kind, m.name)
		}
	}
	return nil
}

func mentionsOf(r stateRow) (all []mention, err error) {
	f := cloud.Firewall{ID: r.text("id")}
	if f.Inbound, err = rulesOf(r, "inbound"); err != nil {
		return nil, err
	}
	if f.Outbound, err = rulesOf(r, "outbound"); err != nil {
		return nil, err
	}
	droplets, tags := f.Mentions()
	for _, id := range droplets {
		all = append(all, mention{f.ID, string(cloud.KindDroplet), cloud.FormatID(id)})
	}
	for _, tag := range tags {
		all = append(all, mention{f.ID, string(cloud.KindTag), tag})
	}
	return all, nil
}

// checkOverlaps finds VPCs that have addresses in common.
func checkOverlaps(rows store.StateRows) error {
	order := make([]int, len(rows["vpcs"]))
	for i := range order {
		order[i] = i
	}
	at := func(i int) stateRow { return stateRow(rows["vpcs"][i]) }
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(at(a).number("first_address"), at(b).number("first_address"))
	})
	for n := 1; n < len(order); n++ {
		before, i := order[n-1], order[n]
		if at(i).number("first_address") <= at(before).number("last_address") {
			return fmt.Errorf("vpcs[%d].ip_range: %s overlaps with %s of vpcs[%d]", i, at(i).text("ip_range"), at(before).text("ip_range"), before)
		}
	}
	return nil
}

// checkAddresses finds addresses that are not those of their place: another's
// could have the same.
func checkAddresses(rows store.StateRows, from cloud.Addresses) error {
	ranges := map[any]string{}
	for i, v := range rows["vpcs"] {
		prefix, err := netip.ParsePrefix(fmt.Sprint(v["ip_range"]))
		if err != nil {
			return fmt.Errorf("vpcs[%d].ip_range: %w", i, err)
		}
		first, last := cloud.RangeBounds(prefix)
		if v["first_address"] != first || v["last_address"] != last {
			return fmt.Errorf("vpcs[%d]: first_address and last_address of %s are %d and %d", i, prefix, first, last)
		}
		ranges[v["id"]] = prefix.String()
	}
	for i, d := range rows["droplets"] {
		if err := checkDropletAddresses(stateRow(d), ranges[d["vpc_id"]], from); err != nil {
			return fmt.Errorf("droplets[%d]%w", i, err)
		}
	}
	for i, r := range rows["reserved_ips"] {
		if want := from.Reserved.Address(from.Reserved.Place(r["host"].(int64))); r["ip"] != want {
			return fmt.Errorf("reserved_ips[%d].ip: it is %q, and has to be %q at its place", i, r["ip"], want)
		}
	}
	for i, row := range rows["reserved_ipv6s"] {
		r := stateRow(row)
		if want := from.IPv6.Reserved(regionIndexOf(r.text("ip")), r.number("number")); r.text("ip") != want {
			return fmt.Errorf("reserved_ipv6s[%d].ip: it is %q, and has to be one such as %q with number %d",
				i, r.text("ip"), want, r.number("number"))
		}
	}
	return nil
}

func checkDropletAddresses(d stateRow, vpcRange string, from cloud.Addresses) error {
	private, err := cloud.PrivateIPv4(vpcRange, d.number("private_host"))
	if err != nil {
		return fmt.Errorf(".vpc_id: %w", err)
	}
	public := ""
	if host, has := d["public_host"].(int64); has {
		public = from.Droplets.Address(from.Droplets.Place(host))
	}
	ipv6, gateway := "", ""
	if d["ipv6"] == true {
		ipv6, gateway = from.IPv6.Droplet(regionIndexOf(d.text("public_ipv6")), d.number("id"))
	}
	for _, derived := range []struct{ column, want string }{
		{"vpc_range", vpcRange}, {"private_ipv4", private}, {"public_ipv4", public}, {"public_range", from.Droplets.Network()},
		{"public_ipv6", ipv6}, {"ipv6_gateway", gateway},
	} {
		if err := isDerived(d, derived.column, derived.want); err != nil {
			return fmt.Errorf(".%s: %w at its place", derived.column, err)
		}
	}
	return nil
}

// regionIndexOf is the region's place that an IPv6 address was made with. That
// of the catalogue here need not be the same, as places change with what is
// retired; what keeps addresses apart is the number in them.
func regionIndexOf(ip string) int {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is6() {
		return 0
	}
	b := addr.As16()
	return int(b[6])<<8 + int(b[7]) - 1
}
