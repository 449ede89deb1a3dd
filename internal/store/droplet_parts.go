package store

import (
	"fmt"
	"slices"

	"github.com/cistern-cloud/cistern/internal/cloud"
	"github.com/cistern-cloud/cistern/internal/database"
)

// parts is a set of Droplets that other tables are asked about at once, so that
// a list costs the same number of queries as one.
type parts struct {
	tx   *Tx
	byID map[int64]*cloud.Droplet
	ids  []int64
}

// complete adds to Droplets what other tables know of them.
func (tx *Tx) complete(droplets []cloud.Droplet) error {
	if len(droplets) == 0 {
		return nil
	}
	p := tx.partsOf(droplets)
	if err := p.addImages(); err != nil {
		return err
	}
	return p.addLinks()
}

func (tx *Tx) partsOf(droplets []cloud.Droplet) parts {
	p := parts{tx: tx, byID: make(map[int64]*cloud.Droplet, len(droplets)), ids: make([]int64, len(droplets))}
	for i := range droplets {
		d := &droplets[i]
		d.Tags, d.VolumeIDs, d.SnapshotIDs, d.BackupIDs = []string{}, []string{}, []int64{}, []int64{}
		p.byID[d.ID], p.ids[i] = d, d.ID
	}
	return p
}

// span is the first and last of the numbers, and whether they are so dense that
// a range of an index holds little else. A page of a list mostly is: an index
// answers it in one step where nothing is there. Droplets that are far apart
// are named one by one.
func (p parts) span() (first, last int64, dense bool) {
	first, last = slices.Min(p.ids), slices.Max(p.ids)
	return first, last, last-first < 4*int64(len(p.ids))
}

// within fills the conditions of linksQuery that a column holds one of the
// Droplets' numbers, or one of them as text. Texts of one length are ordered as
// their numbers are.
func (p parts) within(f *filter) (number, text string) {
	first, last, dense := p.span()
	from, to := cloud.FormatID(first), cloud.FormatID(last)
	if dense && len(from) == len(to) {
		f.args = append(f.args, first, last, from, to)
		return `BETWEEN $1 AND $2`, `BETWEEN $3 AND $4`
	}
	texts := make([]string, len(p.ids))
	for i, id := range p.ids {
		texts[i] = cloud.FormatID(id)
	}
	addIn(f, ``, p.ids)
	addIn(f, ``, texts)
	return `IN` + f.conditions[0], `IN` + f.conditions[1]
}

// linksQuery reads all that belongs to Droplets, in one query, as each costs
// more than it finds: most Droplets have little of it. The verbs are conditions
// on a column that holds a Droplet's number, or that as text.
const linksQuery = `SELECT 'image', si.source_droplet_id, CAST(si.id AS TEXT), si.type FROM images si
		WHERE si.source_droplet_id %[1]s AND si.source_droplet_id <> 0 AND si.status NOT IN ('creating', 'deleted')
	UNION ALL SELECT 'volume', vo.droplet_id, vo.id, '' FROM volumes vo
		WHERE vo.droplet_id %[1]s AND vo.droplet_id <> 0
	UNION ALL SELECT 'reserved_ip', r.droplet_id, r.ip, '' FROM reserved_ips r
		WHERE r.droplet_id %[1]s AND r.droplet_id <> 0
	UNION ALL SELECT 'reserved_ipv6', r6.droplet_id, r6.ip, '' FROM reserved_ipv6s r6
		WHERE r6.droplet_id %[1]s AND r6.droplet_id <> 0
	UNION ALL SELECT 'tag', CAST(t.resource_id AS BIGINT), t.name, '' FROM tagged t
		WHERE t.kind = 'droplet' AND t.resource_id %[2]s
	UNION ALL SELECT 'hold', CAST(h.id AS BIGINT), CAST(h.action_id AS TEXT), a.type
		FROM action_holds h JOIN actions a ON a.id = h.action_id
		WHERE h.kind = 'droplet' AND h.id %[2]s`

// link is one row of a table that belongs to a Droplet.
type link struct {
	part    string
	droplet int64
	id      string
	kind    string
}

func scanLink(row database.Scanner) (l link, err error) {
	return l, row.Scan(&l.part, &l.droplet, &l.id, &l.kind)
}

func (p parts) addLinks() error {
	var f filter
	number, text := p.within(&f)
	links, err := database.All(p.tx.t, scanLink, fmt.Sprintf(linksQuery, number, text), f.args...)
	if err != nil {
		return err
	}
	for _, l := range links {
		if d := p.byID[l.droplet]; d != nil { // ranges may find others
			l.addTo(d)
		}
	}
	// Ordered here, as no order holds across the parts of the query, and that
	// of text differs between databases.
	for _, d := range p.byID {
		slices.Sort(d.SnapshotIDs)
		slices.Sort(d.BackupIDs)
		slices.Sort(d.VolumeIDs)
		slices.Sort(d.Tags)
	}
	return nil
}

func (l link) addTo(d *cloud.Droplet) {
	number, _ := cloud.ParseID(l.id)
	switch l.part {
	case "image":
		switch cloud.ImageType(l.kind) {
		case cloud.ImageSnapshot:
			d.SnapshotIDs = append(d.SnapshotIDs, number)
		case cloud.ImageBackup:
			d.BackupIDs = append(d.BackupIDs, number)
		}
	case "volume":
		d.VolumeIDs = append(d.VolumeIDs, l.id)
	case "reserved_ipv6":
		d.ReservedIPv6 = l.id
	case "reserved_ip":
		d.ReservedIP = l.id
	case "tag":
		d.Tags = append(d.Tags, l.id)
	case "hold":
		d.HeldBy, d.HeldFor = number, cloud.ActionType(l.kind)
	}
}

// addImages adds the images that the Droplets were made from. Those of the
// catalogue are the same while a process lives.
func (p parts) addImages() error {
	missing := map[int64]bool{}
	for _, d := range p.byID {
		if base, ok := p.tx.base.byID[d.Image.ID]; ok {
			d.Image = base
		} else {
			missing[d.Image.ID] = true
		}
	}
	if len(missing) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(missing))
	for id := range missing {
		ids = append(ids, id)
	}
	var f filter
	addIn(&f, `i.id IN`, ids)
	images, err := database.All(p.tx.t, scanImage, `SELECT `+imageColumns+` FROM images i`+f.where(), f.args...)
	for _, d := range p.byID {
		for _, i := range images {
			if i.ID == d.Image.ID {
				d.Image = i.ShownTo(d.Account)
			}
		}
	}
	return err
}
