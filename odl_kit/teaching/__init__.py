"""What a teacher hands out and looks at, made from the labs' sources and executed notebooks.

guide            instructor/labs/<lab>.md, the head of each page        outline    what stands in a lab
progress         `odl progress`: a ledger as a page                     newlab     `odl new-lab`: a lab to begin with
site, slides     `odl site`, `odl slides`                               render     notebooks as HTML
revealjs         the program of the slides, which npm installs
pages            what every page has around its content (look.css, page.css, slides.css)
"""
