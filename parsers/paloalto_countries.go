package parsers

import (
	"strings"
	"sync"
)

// panCountries are the names that PAN-OS gives to countries, one a line.
const panCountries = `Afghanistan
Aland Islands
Albania
Algeria
American Samoa
Andorra
Angola
Anguilla
Antarctica
Antigua and Barbuda
Antigua And Barbuda
Argentina
Armenia
Aruba
Australia
Austria
Azerbaijan
Bahamas
Bahrain
Bangladesh
Barbados
Belarus
Belgium
Belize
Benin
Bermuda
Bhutan
Bolivia
Bolivia Plurinational State Of
Bonaire Sint Eustatius And Saba
Bosnia and Herzegovina
Bosnia And Herzegovina
Botswana
Brazil
British Indian Ocean Territory
Brunei
Brunei Darussalam
Bulgaria
Burkina Faso
Burundi
Cambodia
Cameroon
Canada
Cape Verde
Cabo Verde
Cayman Islands
Central African Republic
Chad
Chile
China
Christmas Island
Cocos Keeling Islands
Colombia
Comoros
Congo
Congo The Democratic Republic Of The
Cook Islands
Costa Rica
Cote D'Ivoire
Cote D Ivoire
Croatia
Cuba
Curacao
Cyprus
Czech Republic
Czechia
Denmark
Djibouti
Dominica
Dominican Republic
Ecuador
Egypt
El Salvador
Equatorial Guinea
Eritrea
Estonia
Eswatini
Ethiopia
European Union
Falkland Islands
Falkland Islands Malvinas
Faroe Islands
Fiji
Finland
France
French Guiana
French Polynesia
French Southern Territories
Gabon
Gambia
Georgia
Germany
Ghana
Gibraltar
Greece
Greenland
Grenada
Guadeloupe
Guam
Guatemala
Guernsey
Guinea
Guinea Bissau
Guinea-Bissau
Guyana
Haiti
Holy See Vatican City State
Honduras
Hong Kong
Hungary
Iceland
India
Indonesia
Iran
Iran Islamic Republic Of
Iraq
Ireland
Isle Of Man
Isle of Man
Israel
Italy
Jamaica
Japan
Jersey
Jordan
Kazakhstan
Kenya
Kiribati
Korea Democratic People's Republic Of
Korea Democratic Peoples Republic Of
Korea Republic Of
South Korea
North Korea
Kosovo
Kuwait
Kyrgyzstan
Lao People's Democratic Republic
Lao Peoples Democratic Republic
Laos
Latvia
Lebanon
Lesotho
Liberia
Libya
Libyan Arab Jamahiriya
Liechtenstein
Lithuania
Luxembourg
Macao
Macau
Macedonia
Macedonia The Former Yugoslav Republic Of
North Macedonia
Madagascar
Malawi
Malaysia
Maldives
Mali
Malta
Marshall Islands
Martinique
Mauritania
Mauritius
Mayotte
Mexico
Micronesia Federated States Of
Moldova
Moldova Republic Of
Monaco
Mongolia
Montenegro
Montserrat
Morocco
Mozambique
Myanmar
Namibia
Nauru
Nepal
Netherlands
Netherlands Antilles
New Caledonia
New Zealand
Nicaragua
Niger
Nigeria
Niue
Norfolk Island
Northern Mariana Islands
Norway
Oman
Pakistan
Palau
Palestine
Palestinian Territory Occupied
Panama
Papua New Guinea
Paraguay
Peru
Philippines
Poland
Portugal
Puerto Rico
Qatar
Reunion
Romania
Russia
Russian Federation
Rwanda
Saint Barthelemy
Saint Helena
Saint Kitts And Nevis
Saint Kitts and Nevis
Saint Lucia
Saint Martin
Saint Pierre And Miquelon
Saint Vincent And The Grenadines
Samoa
San Marino
Sao Tome And Principe
Saudi Arabia
Senegal
Serbia
Seychelles
Sierra Leone
Singapore
Sint Maarten
Slovakia
Slovenia
Solomon Islands
Somalia
South Africa
South Sudan
Spain
Sri Lanka
Sudan
Suriname
Svalbard And Jan Mayen
Swaziland
Sweden
Switzerland
Syria
Syrian Arab Republic
Taiwan
Taiwan ROC
Taiwan Province Of China
Tajikistan
Tanzania
Tanzania United Republic Of
Thailand
Timor Leste
Timor-Leste
Togo
Tokelau
Tonga
Trinidad And Tobago
Trinidad and Tobago
Tunisia
Turkey
Turkiye
Turkmenistan
Turks And Caicos Islands
Tuvalu
Uganda
Ukraine
United Arab Emirates
United Kingdom
United States
United States Minor Outlying Islands
Uruguay
Uzbekistan
Vanuatu
Venezuela
Venezuela Bolivarian Republic Of
Viet Nam
Vietnam
Virgin Islands British
Virgin Islands U.S.
Wallis And Futuna
Western Sahara
Yemen
Zambia
Zimbabwe`

// panCountryNames is panCountries as a set, made when the first name is looked up.
var panCountryNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.SplitSeq(panCountries, "\n") {
		names[name] = true
	}
	return names
})

// isCountry reports whether b is a country: two capital letters or a name of the list.
func isCountry(b []byte) bool {
	if len(b) == 2 {
		return b[0] >= 'A' && b[0] <= 'Z' && b[1] >= 'A' && b[1] <= 'Z'
	}
	return panCountryNames()[string(b)]
}
