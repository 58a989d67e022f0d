package giving

import "strings"

// Currencies of ISO 4217 by the number of their decimals. Funds codes and metals are not among them.
const (
	without = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
	withTwo = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK " +
		"DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL " +
		"MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK " +
		"SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
	withThree    = "BHD IQD JOD KWD LYD OMR TND"
	withFour     = "CLF UYW"
	currencySize = 3
)

// decimalsOf returns how many decimals an amount in the currency may have; ok is false if there is no such currency.
func decimalsOf(currency string) (decimals int, ok bool) {
	if len(currency) != currencySize || strings.Contains(currency, " ") {
		return 0, false
	}
	for digits, currencies := range map[int]string{0: without, 2: withTwo, 3: withThree, 4: withFour} {
		if strings.Contains(" "+currencies+" ", " "+currency+" ") {
			return digits, true
		}
	}
	return 0, false
}
