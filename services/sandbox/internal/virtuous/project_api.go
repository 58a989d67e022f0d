package virtuous

import (
	"slices"
	"strings"

	"rollcall.dev/services/sandbox/internal/gifts"
)

type projectRecord struct {
	ID                               int64        `json:"id"`
	Name                             string       `json:"name"`
	ProjectCode                      string       `json:"projectCode"`
	ExternalAccountingCode           *string      `json:"externalAccountingCode"`
	OnlineDisplayName                *string      `json:"onlineDisplayName"`
	Description                      *string      `json:"description"`
	PhotoURL                         *string      `json:"photoUrl"`
	ParentID                         *int64       `json:"parentId"`
	ParentName                       *string      `json:"parentName"`
	IsSubProject                     bool         `json:"isSubProject"`
	InventoryStatus                  *string      `json:"inventoryStatus"`
	Type                             *string      `json:"type"`
	Location                         *string      `json:"location"`
	IsRestrictedToGiftSpecifications bool         `json:"isRestrictedToGiftSpecifications"`
	IsLimitedToFinancialNeed         bool         `json:"isLimitedToFinancialNeed"`
	IsPublic                         bool         `json:"isPublic"`
	IsActive                         bool         `json:"isActive"`
	IsAvailableOnline                bool         `json:"isAvailableOnline"`
	IsTaxDeductible                  bool         `json:"isTaxDeductible"`
	TreatAsAccountsPayable           bool         `json:"treatAsAccountsPayable"`
	BeginningBalance                 gifts.Amount `json:"beginningBalance"`
	CurrentBalance                   gifts.Amount `json:"currentBalance"`
	FinancialNeedType                *string      `json:"financialNeedType"`
	FinancialNeedFrequency           *string      `json:"financialNeedFrequency"`
	FinancialNeedAmount              gifts.Amount `json:"financialNeedAmount"`
	StartDate                        string       `json:"startDate"`
	EndDate                          *string      `json:"endDate"`
	DurationType                     *string      `json:"durationType"`
	LifeToDateGiving                 *string      `json:"lifeToDateGiving"`
	LifeToDateGiftCount              *int         `json:"lifeToDateGiftCount"`
	LifeToDateGiversCount            *int         `json:"lifeToDateGiversCount"`
	LifeToDateExpenseTotal           *string      `json:"lifeToDateExpenseTotal"`
	CalendarYearToDateGiving         *string      `json:"calendarYearToDateGiving"`
	CalendarYearToDateGiftCount      *int         `json:"calendarYearToDateGiftCount"`
	CalendarYearToDateGiversCount    *int         `json:"calendarYearToDateGiversCount"`
	CalendarYearToDateExpenseTotal   *string      `json:"calendarYearToDateExpenseTotal"`
	CreateDateTimeUTC                string       `json:"createDateTimeUtc"`
	CreatedByUser                    string       `json:"createdByUser"`
	ModifiedDateTimeUTC              string       `json:"modifiedDateTimeUtc"`
	ModifiedByUser                   string       `json:"modifiedByUser"`
	GiftSpecifications               []struct{}   `json:"giftSpecifications"`
	CustomFields                     struct{}     `json:"customFields"`
}

func projectOf(settings gifts.Settings, p *gifts.Project) projectRecord {
	return projectRecord{
		ID: p.ID, Name: p.Name, ProjectCode: p.Code, IsPublic: true, IsActive: p.Active, IsAvailableOnline: true, IsTaxDeductible: true,
		CurrentBalance: 1_231_230, StartDate: p.Created.Format(gifts.Day) + "T00:00:00",
		CreateDateTimeUTC: settings.Rounded(p.Created), CreatedByUser: "Pat Office",
		ModifiedDateTimeUTC: settings.Rounded(p.Modified), ModifiedByUser: "Pat Office", GiftSpecifications: []struct{}{},
	}
}

func (a *API) showProject(c *call) {
	found := c.o.Project(c.id())
	if found == nil {
		c.notFound("Project with id " + c.r.PathValue("id"))
		return
	}
	c.json(projectOf(c.is.Settings, found))
}

func (a *API) showProjectOfCode(c *call) {
	code := c.r.PathValue("code")
	projects := c.o.Projects()
	i := slices.IndexFunc(projects, func(p *gifts.Project) bool { return strings.EqualFold(p.Code, code) })
	if i < 0 {
		c.notFound("Project with code " + code)
		return
	}
	c.json(projectOf(c.is.Settings, projects[i]))
}

func (a *API) projectColumns(c *call) []column[*gifts.Project] {
	return []column[*gifts.Project]{
		{name: "Project Id", kind: kindInt, sorts: []string{"Id", "Project Id"}, id: true,
			cells: func(p *gifts.Project) []cell { return oneNumber(p.ID) }},
		{name: "Project Name", kind: kindText, sorts: []string{"Name", "Project Name"}, cells: func(p *gifts.Project) []cell { return oneText(p.Name) }},
		{name: "Project Code", kind: kindText, sorts: []string{"ProjectCode"}, cells: func(p *gifts.Project) []cell { return oneText(p.Code) }},
		{name: "Active", kind: kindBool, cells: func(p *gifts.Project) []cell { return oneBool(p.Active) }},
		{name: "Last Modified Date", kind: kindDay, cells: func(p *gifts.Project) []cell { return oneDay(p.Modified, c.o.Zone()) }},
	}
}

func (a *API) queryProjects(c *call) {
	answerQuery(c, queryOf[*gifts.Project]{
		columns: a.projectColumns(c), all: c.o.Projects(),
		row: func(p *gifts.Project) any { return projectOf(c.is.Settings, p) },
	})
}

func (a *API) listProjects(c *call) {
	c.body = nil // a GET has no conditions
	a.queryProjects(c)
}

func (a *API) projectOptions(c *call) { c.json(optionsOf(c, a.projectColumns(c))) }
