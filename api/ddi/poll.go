package ddi

import (
	"net/http"
	"strconv"
	"time"

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

// A hint is a link of a poll, whose relation is a segment of its path, too.
type hint struct {
	rel    string
	action deployment.ActionID // 0: none in the path
	change int32
	varies bool // change is in the query
}

// hints says what a device hears of, in the order in which it reads it.
func hints(st *deployment.Standing, w deployment.Window, now time.Time) (all [3]hint, n int) {
	offer := hint{action: st.Action, varies: true}
	switch st.Offer {
	case deployment.OfferConfirmation:
		offer.rel = "confirmationBase"
	case deployment.OfferCancel: // no query: clients append /feedback to it
		offer.rel, offer.varies = "cancelAction", false
	case deployment.OfferDeployment:
		offer.rel = "deploymentBase"
	case deployment.OfferNothing:
	}
	if offer.rel != "" {
		if offer.varies {
			offer.change = deployment.ChangeToken(st.Action, st.Revision, st.ForcedAt, w.Available(now), now)
		}
		all[n], n = offer, n+1
	}
	if st.Installed != 0 {
		all[n], n = hint{rel: "installedBase", action: st.Installed}, n+1
	}
	if st.WantsAttributes {
		all[n], n = hint{rel: "configData"}, n+1
	}
	return all, n
}

// appendTo appends the hint's path below the device's own.
func (h *hint) appendTo(b []byte) []byte {
	b = append(append(b, '/'), h.rel...)
	if h.action != 0 {
		b = strconv.AppendInt(append(b, '/'), int64(h.action), 10)
	}
	if h.varies {
		b = strconv.AppendInt(append(b, "?c="...), int64(h.change), 10)
	}
	return b
}

// poll is the request that devices send all day. A known device's poll without
// news touches no database; most of them are answered by quickPoll.
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
	body := pollBody{Config: pollConfig{pollPolling{a.sleep(d, now)}}}
	root := d.base(r)
	all, n := hints(&d.standing, d.window, now)
	for i := range all[:n] {
		body.Links = append(body.Links, httpjson.Link{Rel: all[i].rel, Href: root + string(all[i].appendTo(nil))})
	}
	return httpjson.Write(w, r, http.StatusOK, body)
}

// sleep is how long the device shall wait until its next poll.
func (a *API) sleep(d *device, now time.Time) string {
	s := d.tenant.Settings
	usual := s.Polling.At(int(d.standing.Interval)).Sleep(chance)
	return tenant.FormatSleep(d.window.PollInterval(now, usual, tenant.MinPolling, s.WindowPollCount))
}

// arrive does what a visit leaves behind: an unknown device registers itself, a
// device seen first or at a new address is news that is saved at once, and every
// visit is noted for the batch.
func (a *API) arrive(r *http.Request, d *device) error {
	ctx := r.Context()
	address := string(appendAddress(nil, r))
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

// appendAddress appends the address that a device came from, as targets keep it.
func appendAddress(b []byte, r *http.Request) []byte {
	ip := httpjson.ClientIP(r)
	if !ip.IsValid() {
		return append(b, "http://***"...)
	}
	b = append(b, "http://"...)
	if ip.Is4() {
		return ip.AppendTo(b)
	}
	return append(ip.AppendTo(append(b, '[')), ']')
}
