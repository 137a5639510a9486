"""Names of people and streets that the scripted author gives."""

FIRST_NAMES = """
    Adele Akira Alice Amara Amina Andre Astrid Beatriz Bruno Camille Carlos Carmen Clara Dalia
    Daniel Dario Diego Dmitri Eduardo Elena Elif Emil Esther Farah Felix Freya Gabriel Giulia Greta
    Hana Hassan Helena Hiro Ibrahim Ines Ingrid Irina Jakub Jamal Jonas Julia Kaito Karim Kenji
    Kofi Laila Leon Linnea Lorenzo Lucia Magnus Malik Marco Mariam Marta Mateo Milan Mira Nadia
    Naomi Niko Noor Oscar Paolo Pedro Petra Priya Rafael Rahul Rashid Rosa Samir Sana Selma Simon
    Sven Tariq Teresa Theo Tomas Valeria Viktor Wanda Yasmin Zara Zoe
""".split()

LAST_NAMES = """
    Abadi Adeyemi Almeida Andersson Araujo Bakker Banerjee Barros Bauer Becker Bianchi Bianco
    Blanco Borg Castillo Chopra Conti Costa Dahl Delgado Diallo Dubois Eriksen Esposito Farouk
    Ferrari Fischer Fontaine Fujita Gallo Greco Haddad Hakimi Hansen Hoffmann Horvat Ibarra Iyer
    Jansen Kaplan Keller Kimura Kowalski Lambert Larsen Lindgren Mahmoud Mancini Mbeki Medina
    Mendoza Meyer Moreau Moreno Nakamura Navarro Nilsson Novak Okafor Okoye Olsen Ortega Osman
    Pavlov Pereira Petrov Quintero Ramos Reddy Ribeiro Richter Romano Saito Salazar Santos Schmitt
    Sharma Silva Sokolov Suzuki Tanaka Torres Usman Varga Vasquez Vogel Weber Yamada Zimmermann
""".split()

STREETS = """
    Alder Ashford Birchwood Bluebell Canyon Chestnut Clearwater Copper Cypress Dogwood Elderberry
    Fairview Falcon Foxglove Garnet Hawthorn Hazel Heather Hickory Juniper Larch Laurel Magnolia
    Meadow Mulberry Orchard Poplar Quarry Redwood Rosewood Sandstone Spruce Sycamore Thistle Willow
""".split()

WELL_KNOWN = frozenset(
    """
    aarav ahmed amelia anya ava chen daiki emma ethan evelyn fatima harper isabella isla ivan james
    john juan lei lena liam lucas maria mason mei mia michael mohamed mohammed noah olivia omar raj
    robert sarah sofia sophia yara yusuf
    """.split()
) | frozenset(name.lower() for name in FIRST_NAMES)
"""First names by which an id like `mia_li_3668` is told from one like `gift_card_3668`."""

ALSO_WORDS = frozenset(
    """
    January February March April May June July August September October November December Jan Feb
    Mar Apr Jun Jul Aug Sep Oct Nov Dec Monday Tuesday Wednesday Thursday Friday Saturday Sunday
    Will Grace Hope Faith Joy Rose Mark Bill Frank Art Rich Chase Drew Summer Autumn Dawn Young
    White Black Brown Green Gray King Price Case Page Day Best Long Short Small Street Park Lane
    Business Economy Flight User Yes No The You Your Please
    """.split()
)
"""What is a name or an ordinary word; left as it is, because a text does not tell which."""
