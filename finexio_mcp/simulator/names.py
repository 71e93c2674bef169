"""The cast of the seeded world: a hospitality group and those it pays. None of them exists."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BuyerName:
    name: str
    reference: str
    address: str
    city: str
    state: str
    zipcode: str
    funding_method: str


@dataclass(frozen=True)
class SupplierName:
    name: str
    method: str
    address: str
    city: str
    state: str
    zipcode: str
    category: str

    @property
    def reference(self) -> str:
        words = [word for word in self.name.replace("&", " ").replace(".", "").replace("'", "").split() if word]
        return "-".join(words[:2]).upper()

    @property
    def domain(self) -> str:
        letters = "".join(letter for letter in self.name.lower() if letter.isalnum() or letter == " ")
        return f"{''.join(letters.split()[:2])}.example"


BUYERS = (
    BuyerName("Tidewater Hospitality Group LLC", "TIDEWATER-HQ", "410 Bay St", "Savannah", "GA", "31401", "ach_debit"),
    BuyerName("Bluff Street Kitchen LLC", "BLUFF-ST", "88 Bluff St", "Charleston", "SC", "29401", "ach_debit"),
    BuyerName("Marsh Landing Inn & Suites Inc", "MARSH-INN", "1200 Causeway Dr", "Brunswick", "GA", "31520", "wire"),
)

_SUPPLIERS = """
Harbor Paper Company|Check|18 Quay St|Mobile|AL|36602|Office supplies
Low Country Linen Service|Check|2207 Meeting St|Charleston|SC|29405|Linen and laundry
Brightwater Plumbing & Drain|Check|61 Depot Ave|Savannah|GA|31404|Maintenance
Oakline Pest Control|Check|940 Ogeechee Rd|Savannah|GA|31415|Maintenance
Palmetto Ice & Beverage|Check|15 Cooler Way|Beaufort|SC|29902|Food and beverage
St. Simons Lawn & Garden|Check|330 Frederica Rd|St Simons Island|GA|31522|Grounds
Coastal Elevator Inspection|Check|77 Hoist Ln|Jacksonville|FL|32202|Maintenance
Merchant Row Signs|Check|12 Merchant Row|Macon|GA|31201|Marketing
Vidalia Farm Produce|Check|4810 Onion Field Rd|Vidalia|GA|30474|Food and beverage
Rosewood Piano Tuning|Check|9 Rosewood Ct|Augusta|GA|30901|Events
Pinewood Upholstery Works|Check|501 Batting Blvd|High Point|NC|27260|Furniture
Old Fort Locksmiths|Check|27 Bastion St|St Augustine|FL|32084|Maintenance
Shellbank Fire Protection|Check|650 Hydrant Pkwy|Wilmington|NC|28401|Safety
Golden Isles Printing Co|Check|1420 Newcastle St|Brunswick|GA|31520|Marketing
Beacon Window Cleaning|Check|83 Lantern Rd|Hilton Head|SC|29928|Maintenance
County Tax Commissioner|Check|100 Courthouse Sq|Brunswick|GA|31520|Taxes and fees
Southern Pines Roofing|Check|2900 Shingle Rd|Southern Pines|NC|28387|Maintenance
Magnolia Flower Market|Check|44 Petal Ln|Savannah|GA|31401|Events
Atlantic Seafood Traders|ACH|5 Dockside Dr|Charleston|SC|29403|Food and beverage
Piedmont Dairy Cooperative|ACH|780 Creamery Rd|Greenville|SC|29601|Food and beverage
Sunbelt Restaurant Equipment|ACH|3300 Fryer Ave|Atlanta|GA|30318|Equipment
Keystone Payroll Services|ACH|1600 Ledger Pl|Allentown|PA|18101|Professional services
Riverbend Electric Membership|ACH|200 Transformer Way|Waycross|GA|31501|Utilities
Tri-State Waste Hauling|ACH|910 Landfill Rd|Chattanooga|TN|37402|Utilities
Heron Point Insurance Agency|ACH|1 Heron Point|Savannah|GA|31411|Insurance
Blue Ridge Coffee Roasters|ACH|316 Arabica St|Asheville|NC|28801|Food and beverage
Cypress Cloud Software|ACH|2100 Server Farm Rd|Raleigh|NC|27601|Software
Lakeshore Bakery Supply|ACH|55 Flour Mill Rd|Gainesville|GA|30501|Food and beverage
Fairlane Uniform Rental|ACH|4040 Fairlane Dr|Columbia|SC|29201|Linen and laundry
Granite State Cutlery|ACH|73 Whetstone Rd|Nashua|NH|03060|Equipment
Summit Legal Partners LLP|ACH|1200 Peachtree St|Atlanta|GA|30309|Professional services
Driftwood Pool Service|ACH|24 Chlorine Ct|Tybee Island|GA|31328|Maintenance
Northgate Freight Lines|ACH|8100 Axle Rd|Charlotte|NC|28206|Freight
Wren & Daughters Catering|ACH|60 Tureen St|Macon|GA|31201|Events
Paramount Kitchen Exhaust|Card|18 Grease Trap Way|Marietta|GA|30060|Maintenance
Silverline Office Interiors|Card|700 Swivel Chair Dr|Grand Rapids|MI|49503|Furniture
Meridian Travel Desk|Card|9 Concourse Plz|Dallas|TX|75201|Travel
QuickStaff Temporary Help|Card|450 Timesheet Blvd|Tampa|FL|33602|Staffing
Copper Kettle Brewing Supply|Card|230 Mash Tun Rd|Asheville|NC|28806|Food and beverage
Pelican Media Group|Card|1010 Airwave St|Jacksonville|FL|32207|Marketing
Redbud Guest Amenities|Card|37 Soap Dish Ln|Knoxville|TN|37902|Guest supplies
Starling Wi-Fi Solutions|Card|802 Antenna Way|Austin|TX|78701|Software
Evergreen Water Treatment|Card|15 Filter Bed Rd|Columbus|GA|31901|Utilities
Bayline Commercial Laundry|Card|611 Mangle St|Norfolk|VA|23510|Linen and laundry
Cumberland Construction Group|Wire|5500 Rebar Rd|Nashville|TN|37203|Construction
Savannah Harbor Properties|Wire|1 Wharf Plaza|Savannah|GA|31401|Rent
Maison Duval Wine Imports|Wire|90 Cellar Ct|New Orleans|LA|70130|Food and beverage
Great Lakes Boiler Works|Wire|4400 Steam Plant Dr|Toledo|OH|43604|Equipment
"""

SUPPLIERS = tuple(SupplierName(*line.split("|")) for line in _SUPPLIERS.strip().splitlines())

_UNPAYABLE = """
Dockside Awning Repair|Check|31 Canvas Ct|Darien|GA||Maintenance
Tupelo Honey Wholesale|ACH|6 Apiary Rd|Metter|GA|30439|Food and beverage
Ravenel Art Framing|Card|142 Mitre Ln|Ravenel|SC|29470|Furniture
"""
"""In the books, but a payment to one of them could not be made: no postal code, no account, no address to mail to."""

UNPAYABLE = tuple(SupplierName(*line.split("|")) for line in _UNPAYABLE.strip().splitlines())

PEOPLE = (
    "Rae Lund",
    "Tomas Okafor",
    "Deb Castellano",
    "Hollis Grant",
    "Priya Nair",
    "Walt Jessup",
    "Mina Alvarado",
    "Curtis Boone",
    "Ada Whitlock",
    "Jonah Pruitt",
    "Simone Haddad",
    "Errol Tate",
    "Gwen Marchetti",
    "Luis Bracken",
    "Noor Kessler",
    "Beth Yancey",
)
ROLES = (("AR", "ar"), ("REMIT", "remittance"), ("CTRL", "controller"))

NOTES = (
    "Approved by the general manager.",
    "Partial delivery, the rest is on back order.",
    "Please quote our account on the remittance.",
    "Replaces a paper invoice lost in the mail.",
    "Quarterly service agreement.",
)
DEPARTMENTS = ("rooms", "kitchen", "grounds", "events", "front-desk")
