package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cistern-cloud/cistern/associated"
)

// destroy asks what of the orphans goes, and destroys it.
func (o *orphans) destroy(cmd *cobra.Command, all []*resource, kinds []associated.Kind) error {
	for _, r := range all {
		r.Destroy = slices.Contains(kinds, r.Kind)
	}
	if err := o.table(all); err != nil {
		return err
	}
	err := o.confirm(cmd.Context(), all)
	if err == nil {
		err = o.destroyChosen(cmd, all)
	}
	if o.view.output == "json" && !errors.Is(err, errInterrupted) {
		err = errors.Join(writeJSON(cmd.OutOrStdout(), o.document(all)), err)
	}
	return err
}

func (o *orphans) confirm(ctx context.Context, all []*resource) error {
	where := fmt.Sprintf("On %s, account %s", o.remote.url, o.account)
	if o.goes.with == "" && len(all) > 0 {
		chosen, err := o.screen.choose(ctx, "What of it goes?", where+". What is not chosen is kept.", orphanLines(all))
		if err != nil {
			return err
		}
		for _, i := range chosen {
			all[i].Destroy = true
		}
	}
	chosen := toDestroy(all)
	if o.goes.yes || len(chosen) == 0 {
		return nil
	}
	n := len(chosen)
	return o.screen.typed(ctx, fmt.Sprintf("Type %d to destroy %s", n, counted(n, "resource")),
		named(chosen)+where+". This cannot be undone.", fmt.Sprint(n))
}

func orphanLines(all []*resource) []string {
	var text strings.Builder
	t := newTable(&text)
	for _, r := range all {
		t.row(kindNames[r.Kind], r.Name, aMonth(r.Cost))
	}
	_ = t.Flush() // to memory
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// destroyChosen destroys until all that was chosen is gone, or nobody wants to
// try again.
func (o *orphans) destroyChosen(cmd *cobra.Command, all []*resource) error {
	asked := len(toDestroy(all))
	for {
		chosen := toDestroy(all)
		err := o.screen.watch(cmd.Context(), len(chosen), func(ctx context.Context, tell func(string)) error {
			for _, r := range chosen {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				o.destroyOne(ctx, r)
				if r.gone() {
					tell(o.screen.mark(false, r.label()+" is gone"))
				} else {
					tell(o.screen.mark(true, r.label()+": "+r.ErrorMessage))
				}
			}
			return nil
		})
		failed := toDestroy(all)
		switch {
		case errors.Is(err, context.Canceled):
			return exitWith(exitInterrupted, "interrupted; %d of %d are left; see them with: %s", len(failed), asked, again(cmd, "cistern orphans"))
		case err != nil:
			return err
		case len(failed) == 0:
			o.screen.say("%s gone.\n", isOrAre(asked))
			return nil
		}
		if o.screen.asks {
			yes, err := o.screen.agree(cmd.Context(), fmt.Sprintf("%d of %d could not be destroyed. Try again?", len(failed), asked))
			if err == nil && yes {
				continue
			}
		}
		return leftOver(failed, asked)
	}
}

func isOrAre(n int) string {
	if n == 1 {
		return "1 resource is"
	}
	return counted(n, "resource") + " are"
}

func leftOver(failed []*resource, asked int) error {
	text := fmt.Sprintf("%d of %d could not be destroyed", len(failed), asked)
	for _, r := range failed {
		text += fmt.Sprintf("\n  %s: %s", r.label(), r.ErrorMessage)
	}
	return exitWith(exitPartial, "%s", text)
}

// destroyOne destroys one orphan and notes what came of it. What is gone by
// itself is gone.
func (o *orphans) destroyOne(ctx context.Context, r *resource) {
	err := o.delete(ctx, r)
	if err != nil && !refused(err, http.StatusNotFound) {
		r.ErrorMessage = o.remote.reason(err)
		return
	}
	now := time.Now().UTC().Truncate(time.Second)
	r.DestroyedAt, r.ErrorMessage = &now, ""
}

func (o *orphans) delete(ctx context.Context, r *resource) (err error) {
	api := o.remote.api
	switch r.Kind {
	case associated.Volumes: // the server refuses one that was attached meanwhile
		_, err = api.Storage.DeleteVolume(ctx, r.ID)
	case associated.ReservedIPs:
		ip, _, e := api.ReservedIPs.Get(ctx, r.ID)
		switch {
		case e != nil:
			return e
		case ip.Droplet != nil: // the server would take it away
			return fmt.Errorf("it was assigned to Droplet %s meanwhile", ip.Droplet.Name)
		}
		_, err = api.ReservedIPs.Delete(ctx, r.ID)
	default:
		_, err = api.Snapshots.Delete(ctx, r.ID)
	}
	return err
}
