package ddi

import "net/http"

// Routes names the routes of the table, by method and path.
func Routes() []string {
	var all []string
	for _, rt := range routes() {
		all = append(all, rt.method+" "+rt.path)
	}
	return all
}

// QuickPoll is quickPoll.
func (a *API) QuickPoll(w http.ResponseWriter, r *http.Request) bool { return a.quickPoll(w, r) }
