package store

import (
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
	p := parts{tx: tx, byID: make(map[int64]*cloud.Droplet, len(droplets)), ids: make([]int64, len(droplets))}
	for i := range droplets {
		d := &droplets[i]
		d.Tags, d.VolumeIDs, d.SnapshotIDs, d.BackupIDs = []string{}, []string{}, []int64{}, []int64{}
		p.byID[d.ID], p.ids[i] = d, d.ID
	}
	for _, add := range []func() error{p.addImages, p.addSnapshots, p.addVolumes, p.addReservedIPs, p.addTags, p.addHolds} {
		if err := add(); err != nil {
			return err
		}
	}
	return nil
}

// span is the first and last of the numbers, and whether they are so dense that
// a range of an index holds little else. A page of a list mostly is: an index
// answers it in one step where nothing is there. Droplets that are far apart
// are named one by one.
func (p parts) span() (first, last int64, dense bool) {
	first, last = slices.Min(p.ids), slices.Max(p.ids)
	return first, last, last-first < 4*int64(len(p.ids))
}

// of is a condition on a column that holds Droplets' numbers.
func (p parts) of(column string) (f filter) {
	if first, last, dense := p.span(); dense {
		f.add(column+` >= ? AND `+column+` <= ?`, first, last)
	} else {
		addIn(&f, column+` IN`, p.ids)
	}
	return f
}

// ofText is of for a column that holds the numbers as text. Texts of one length
// are ordered as their numbers are.
func (p parts) ofText(column string) (f filter) {
	first, last, dense := p.span()
	from, to := cloud.FormatID(first), cloud.FormatID(last)
	if dense && len(from) == len(to) {
		f.add(column+` >= ? AND `+column+` <= ?`, from, to)
		return f
	}
	texts := make([]string, len(p.ids))
	for i, id := range p.ids {
		texts[i] = cloud.FormatID(id)
	}
	addIn(&f, column+` IN`, texts)
	return f
}

// link is one row of a table that belongs to a Droplet.
type link struct {
	droplet int64
	id      string
	kind    string
	number  int64
}

// each calls f for every link of a Droplet in the set; ranges may find others.
func (p parts) each(f filter, scan func(database.Scanner) (link, error), query, order string, use func(*cloud.Droplet, link)) error {
	links, err := database.All(p.tx.t, scan, query+f.where()+order, f.args...)
	for _, l := range links {
		if d := p.byID[l.droplet]; d != nil {
			use(d, l)
		}
	}
	return err
}

// addImages adds the images that the Droplets were made from. Those of the
// catalogue are the same while a process lives.
func (p parts) addImages() error {
	missing := map[int64]bool{}
	for _, d := range p.byID {
		if base, ok := p.tx.base[d.Image.ID]; ok {
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
				d.Image = i
			}
		}
	}
	return err
}

func (p parts) addSnapshots() error {
	f := p.of(`si.source_droplet_id`)
	f.add(`si.source_droplet_id <> 0 AND si.status NOT IN ('creating', 'deleted')`)
	return p.each(f, func(row database.Scanner) (l link, err error) {
		return l, row.Scan(&l.droplet, &l.kind, &l.number)
	}, `SELECT si.source_droplet_id, si.type, si.id FROM images si`, ` ORDER BY si.id`, func(d *cloud.Droplet, l link) {
		switch cloud.ImageType(l.kind) {
		case cloud.ImageSnapshot:
			d.SnapshotIDs = append(d.SnapshotIDs, l.number)
		case cloud.ImageBackup:
			d.BackupIDs = append(d.BackupIDs, l.number)
		}
	})
}

func (p parts) addVolumes() error {
	f := p.of(`vo.droplet_id`)
	f.add(`vo.droplet_id <> 0`)
	return p.each(f, scanTextLink, `SELECT vo.droplet_id, vo.id FROM volumes vo`, ` ORDER BY vo.id`,
		func(d *cloud.Droplet, l link) { d.VolumeIDs = append(d.VolumeIDs, l.id) })
}

func (p parts) addReservedIPs() error {
	f := p.of(`r.droplet_id`)
	f.add(`r.droplet_id <> 0`)
	return p.each(f, scanTextLink, `SELECT r.droplet_id, r.ip FROM reserved_ips r`, ``,
		func(d *cloud.Droplet, l link) { d.ReservedIP = l.id })
}

func scanTextLink(row database.Scanner) (l link, err error) {
	return l, row.Scan(&l.droplet, &l.id)
}

func (p parts) addTags() error {
	f := p.ofText(`t.resource_id`)
	f.add(`t.kind = 'droplet'`)
	err := p.each(f, func(row database.Scanner) (l link, err error) {
		var droplet string
		err = row.Scan(&droplet, &l.id)
		l.droplet, _ = cloud.ParseID(droplet)
		return l, err
	}, `SELECT t.resource_id, t.name FROM tagged t`, ``, func(d *cloud.Droplet, l link) {
		d.Tags = append(d.Tags, l.id)
	})
	for _, d := range p.byID {
		slices.Sort(d.Tags) // here, as the order of text differs between databases
	}
	return err
}

func (p parts) addHolds() error {
	f := p.ofText(`h.id`)
	f.add(`h.kind = 'droplet'`)
	return p.each(f, func(row database.Scanner) (l link, err error) {
		var droplet string
		err = row.Scan(&droplet, &l.number, &l.kind)
		l.droplet, _ = cloud.ParseID(droplet)
		return l, err
	}, `SELECT h.id, h.action_id, a.type FROM action_holds h JOIN actions a ON a.id = h.action_id`, ``,
		func(d *cloud.Droplet, l link) { d.HeldBy, d.HeldFor = l.number, cloud.ActionType(l.kind) })
}
