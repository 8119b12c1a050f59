package ddi

import (
	"net/http"
	"strconv"

	"github.com/otaria/otaria/api/httpjson"
	"github.com/otaria/otaria/deployment"
	"github.com/otaria/otaria/tenant"
)

// pollBody is what a poll hears (device-apis A.3).
type pollBody struct {
	Config pollConfig     `json:"config"`
	Links  httpjson.Links `json:"_links,omitempty" cbor:"links"`
}

type pollConfig struct {
	Polling pollPolling `json:"polling"`
}

type pollPolling struct {
	Sleep string `json:"sleep"`
}

// poll is the request that devices send all day. A known device's poll without
// news touches no database.
func (a *API) poll(w http.ResponseWriter, r *http.Request) error {
	d := deviceOf(r.Context())
	if err := a.arrive(r, d); err != nil {
		return err
	}
	var err error
	if d.standing, d.window, err = a.Deployment.Lapse(r.Context(), d.tenant, d.id, d.standing, d.window); err != nil {
		return err
	}
	now := a.Now()
	st := &d.standing
	root := d.base(r)
	var links [3]httpjson.Link
	n := 0
	add := func(rel, tail string) {
		links[n] = httpjson.Link{Rel: rel, Href: root + tail}
		n++
	}
	action := strconv.FormatInt(int64(st.Action), 10)
	change := func() string {
		return "?c=" + strconv.Itoa(int(deployment.ChangeToken(st.Action, st.Revision, st.ForcedAt, d.window.Available(now), now)))
	}
	switch st.Offer {
	case deployment.OfferConfirmation:
		add("confirmationBase", "/confirmationBase/"+action+change())
	case deployment.OfferCancel: // no query: clients append /feedback to it
		add("cancelAction", "/cancelAction/"+action)
	case deployment.OfferDeployment:
		add("deploymentBase", "/deploymentBase/"+action+change())
	case deployment.OfferNothing:
	}
	if st.Installed != 0 {
		add("installedBase", "/installedBase/"+strconv.FormatInt(int64(st.Installed), 10))
	}
	if st.WantsAttributes {
		add("configData", "/configData")
	}
	body := pollBody{Config: pollConfig{pollPolling{a.sleep(d)}}, Links: links[:n]}
	return httpjson.Write(w, r, http.StatusOK, body)
}

// sleep is how long the device shall wait until its next poll.
func (a *API) sleep(d *device) string {
	s := d.tenant.Settings
	usual := s.Polling.At(int(d.standing.Interval)).Sleep(chance)
	return tenant.FormatSleep(d.window.PollInterval(a.Now(), usual, tenant.MinPolling, s.WindowPollCount))
}

// arrive does what a visit leaves behind: an unknown device registers itself, a
// device seen first or at a new address is news that is saved at once, and every
// visit is noted for the batch.
func (a *API) arrive(r *http.Request, d *device) error {
	ctx := r.Context()
	address := "http://***"
	if ip := httpjson.ClientIP(r); ip.IsValid() {
		address = "http://" + ip.String()
		if ip.Is6() && !ip.Is4In6() {
			address = "http://[" + ip.String() + "]"
		}
	}
	var err error
	if !d.known {
		if err := a.Fleet.Register(ctx, d.id, address); err != nil {
			return err
		}
		if d.standing, d.window, err = a.Deployment.Polls.Lookup(ctx, d.tenant, d.id); err != nil {
			return err
		}
		d.known = true
	}
	if d.standing.Unseen || d.standing.Address != deployment.AddressFingerprint(address) {
		if err := a.Fleet.Seen(ctx, d.standing.Target, address); err != nil {
			return err
		}
		d.standing.Unseen = false
	}
	a.Fleet.Visits.Note(d.standing.Target, a.Now())
	return nil
}
