package vomo

// name is a name as it is written, and in plain small letters for an address.
type name struct {
	shown, plain, gender string
}

// The lists are ours. They mix scripts, accents, apostrophes and hyphens on purpose: what mirrors people must
// carry each of them unharmed.
var firstNames = []name{
	{"Ana", "ana", "F"}, {"Ben", "ben", "M"}, {"Clara", "clara", "F"}, {"David", "david", "M"}, {"Emily", "emily", "F"},
	{"Frank", "frank", "M"}, {"Grace", "grace", "F"}, {"Henry", "henry", "M"}, {"Isla", "isla", "F"}, {"Jack", "jack", "M"},
	{"Karen", "karen", "F"}, {"Liam", "liam", "M"}, {"Maria", "maria", "F"}, {"Noah", "noah", "M"}, {"Olivia", "olivia", "F"},
	{"Peter", "peter", "M"}, {"Rachel", "rachel", "F"}, {"Samuel", "samuel", "M"}, {"Tanya", "tanya", "F"}, {"Victor", "victor", "M"},
	{"Aaliyah", "aaliyah", "F"}, {"Kwame", "kwame", "M"}, {"Ngozi", "ngozi", "F"}, {"Tunde", "tunde", "M"}, {"Wanjiru", "wanjiru", "F"},
	{"Priya", "priya", "F"}, {"Arjun", "arjun", "M"}, {"Mei", "mei", "F"}, {"Kenji", "kenji", "M"}, {"Thi Lan", "thilan", "F"},
	{"José", "jose", "M"}, {"Zoë", "zoe", "F"}, {"André", "andre", "M"}, {"Chloé", "chloe", "F"}, {"Jürgen", "juergen", "M"},
	{"Søren", "soren", "M"}, {"Åsa", "asa", "F"}, {"Łukasz", "lukasz", "M"}, {"Zuzana", "zuzana", "F"}, {"Siân", "sian", "F"},
	{"Jean-Luc", "jeanluc", "M"}, {"Mary-Kate", "marykate", "F"}, {"D'Andre", "dandre", "M"}, {"Ka'iulani", "kaiulani", "F"},
	{"Nevaeh", "nevaeh", "F"}, {"Robin", "robin", "N"}, {"Sky", "sky", "N"}, {"Alex", "alex", "N"}, {"Þóra", "thora", "F"},
	{"İpek", "ipek", "F"}, {"Đức", "duc", "M"}, {"Ελένη", "eleni", "F"}, {"Олег", "oleg", "M"}, {"Ольга", "olga", "F"},
	{"伟", "wei", "M"}, {"秀英", "xiuying", "F"}, {"さくら", "sakura", "F"}, {"健太", "kenta", "M"}, {"지우", "jiwoo", "N"},
	{"محمد", "mohammed", "M"}, {"فاطمة", "fatima", "F"}, {"יעל", "yael", "F"}, {"अमित", "amit", "M"}, {"Ravi Kumar", "ravikumar", "M"},
}

var lastNames = []name{
	{shown: "Smith", plain: "smith"}, {shown: "Johnson", plain: "johnson"}, {shown: "Brown", plain: "brown"}, {shown: "Taylor", plain: "taylor"},
	{shown: "Miller", plain: "miller"}, {shown: "Davis", plain: "davis"}, {shown: "Wilson", plain: "wilson"}, {shown: "Moore", plain: "moore"},
	{shown: "Clark", plain: "clark"}, {shown: "Lewis", plain: "lewis"}, {shown: "Walker", plain: "walker"}, {shown: "Hall", plain: "hall"},
	{shown: "Young", plain: "young"}, {shown: "King", plain: "king"}, {shown: "Wright", plain: "wright"}, {shown: "Scott", plain: "scott"},
	{shown: "Green", plain: "green"}, {shown: "Baker", plain: "baker"}, {shown: "Ruiz", plain: "ruiz"}, {shown: "Torres", plain: "torres"},
	{shown: "Okafor", plain: "okafor"}, {shown: "Mensah", plain: "mensah"}, {shown: "Adeyemi", plain: "adeyemi"}, {shown: "Kamau", plain: "kamau"},
	{shown: "Patel", plain: "patel"}, {shown: "Singh", plain: "singh"}, {shown: "Nguyen", plain: "nguyen"}, {shown: "Kim", plain: "kim"},
	{shown: "O'Brien", plain: "obrien"}, {shown: "O’Neill", plain: "oneill"}, {shown: "D'Angelo", plain: "dangelo"}, {shown: "N'Diaye", plain: "ndiaye"},
	{shown: "Smith-Jones", plain: "smithjones"}, {shown: "García-López", plain: "garcialopez"}, {shown: "St. John", plain: "stjohn"},
	{shown: "van der Berg", plain: "vanderberg"}, {shown: "de la Cruz", plain: "delacruz"}, {shown: "von Bülow", plain: "vonbuelow"},
	{shown: "Muñoz", plain: "munoz"}, {shown: "Gonçalves", plain: "goncalves"}, {shown: "Müller", plain: "mueller"}, {shown: "Öztürk", plain: "ozturk"},
	{shown: "Šimůnek", plain: "simunek"}, {shown: "Wałęsa-Nowak", plain: "walesanowak"}, {shown: "Jørgensen", plain: "jorgensen"},
	{shown: "Trần", plain: "tran"}, {shown: "Ó Súilleabháin", plain: "osuilleabhain"}, {shown: "Παπαδάκης", plain: "papadakis"},
	{shown: "Иваненко", plain: "ivanenko"}, {shown: "王", plain: "wang"}, {shown: "李", plain: "li"}, {shown: "佐藤", plain: "sato"},
	{shown: "김", plain: "gim"}, {shown: "الحسن", plain: "alhassan"}, {shown: "منصور", plain: "mansour"}, {shown: "כהן", plain: "cohen"},
	{shown: "शर्मा", plain: "sharma"}, {shown: "Featherstonehaugh-Cholmondeley", plain: "featherstonehaughcholmondeley"}, {shown: "Ng", plain: "ng"},
	{shown: "McDonald", plain: "mcdonald"}, {shown: "Fitzgerald", plain: "fitzgerald"}, {shown: "Ali", plain: "ali"}, {shown: "Cohen", plain: "cohen"},
}

var (
	domains = []string{"example.org", "example.org", "example.com", "example.net"}
	streets = []string{"Elm St", "Oak Ave", "Maple Dr", "2nd St", "Mission Rd", "Church Ln", "Río Grande Blvd", "Martin Luther King Jr Way"}
	cities  = []string{
		"Mesa, AZ 85201, USA", "Dayton, OH 45402, USA", "San José, CA 95112, USA", "Doña Ana, NM 88032, USA",
		"Montréal, QC H2X 1Y4, Canada", "Coeur d'Alene, ID 83814, USA", "Winston-Salem, NC 27101, USA",
	}
	userStatuses       = weighted{{"VERIFIED", 82}, {"UNVERIFIED", 12}, {"PENDING", 4}, {"SUSPENDED", 2}}
	membershipStatuses = weighted{{"ACCEPTED", 90}, {"PENDING", 7}, {"DECLINED", 3}}
	membershipRoles    = weighted{{"VOLUNTEER", 93}, {"ORGANIZER", 5}, {"ADMIN", 2}}
)
