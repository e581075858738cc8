r"""The commands of LaTeX that a formula may have, by what they do. Anything else is refused.

A command that is not here could read or write files, define others, or never end. So the lists are what keeps
formulas of strangers harmless, and what tells ink from layout.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _map(text: str) -> dict[str, str]:
    """The pairs `a=b` of a text."""
    return {pair.partition("=")[0]: pair.partition("=")[2] for pair in text.split()}


# One sign each: the symbols of LaTeX's kernel, of amssymb and of amsmath.
SYMBOLS = _words(
    """
    Bbbk Box Bumpeq Cap Cup Delta Diamond Downarrow Finv Game Gamma Im Join Lambda Leftarrow Leftrightarrow
    Lleftarrow Longleftarrow Longleftrightarrow Longrightarrow Lsh Omega Phi Pi Psi Re Rightarrow
    Rrightarrow Rsh Sigma Subset Supset Theta Uparrow Updownarrow Upsilon Vdash Vert Vvdash Xi aleph alpha
    amalg angle approx approxeq ast asymp backepsilon backprime backsim backsimeq backslash barwedge because
    beta beth between bigcap bigcirc bigcup bigodot bigoplus bigotimes bigsqcup bigstar bigtriangledown
    bigtriangleup biguplus bigvee bigwedge blacklozenge blacksquare blacktriangle blacktriangledown
    blacktriangleleft blacktriangleright bot bowtie boxdot boxminus boxplus boxtimes bullet bumpeq cap cdot
    cdotp centerdot chi circ circeq circlearrowleft circlearrowright circledS circledast circledcirc
    circleddash clubsuit colon complement cong coprod cup curlyeqprec curlyeqsucc curlyvee curlywedge
    curvearrowleft curvearrowright dag dagger daleth dashleftarrow dashrightarrow dashv ddag ddagger ddots
    delta diamond diamondsuit digamma div divideontimes doteq doteqdot dotplus doublebarwedge downarrow
    downdownarrows downharpoonleft downharpoonright ell emptyset epsilon eqcirc eqsim eqslantgtr eqslantless
    equiv eta eth exists fallingdotseq flat forall frown gamma ge geq geqq geqslant gets gg ggg gimel
    gnapprox gneq gneqq gnsim gtrapprox gtrdot gtreqless gtreqqless gtrless gtrsim gvertneqq hbar heartsuit
    hookleftarrow hookrightarrow hslash idotsint iff iiiint iiint iint imath impliedby implies in infty int
    intercal iota jmath kappa lVert lambda land langle lbrace lceil le leadsto leftarrow leftarrowtail
    leftharpoondown leftharpoonup leftleftarrows leftrightarrow leftrightarrows leftrightharpoons
    leftrightsquigarrow leftthreetimes leq leqq leqslant lessapprox lessdot lesseqgtr lesseqqgtr lessgtr
    lesssim lfloor lhd ll llcorner lll lnapprox lneq lneqq lnot lnsim longleftarrow longleftrightarrow
    longmapsto longrightarrow looparrowleft looparrowright lor lozenge lrcorner ltimes lvert lvertneqq
    mapsto measuredangle mho mid models mp mu multimap nLeftarrow nLeftrightarrow nRightarrow nVDash nVdash
    nabla natural ncong ne nearrow neg neq nexists ngeq ngeqq ngeqslant ngtr ni nleftarrow nleftrightarrow
    nleq nleqq nleqslant nless nmid notin nparallel nprec npreceq nrightarrow nshortmid nshortparallel nsim
    nsubseteq nsubseteqq nsucc nsucceq nsupseteq nsupseteqq ntriangleleft ntrianglelefteq ntriangleright
    ntrianglerighteq nu nvDash nvdash nwarrow odot oint omega ominus oplus oslash otimes owns parallel
    partial perp phi pi pitchfork pm prec precapprox preccurlyeq preceq precnapprox precneqq precnsim
    precsim prime prod propto psi rVert rangle rbrace rceil rfloor rhd rho rightarrow rightarrowtail
    rightharpoondown rightharpoonup rightleftarrows rightleftharpoons rightrightarrows rightsquigarrow
    rightthreetimes risingdotseq rtimes rvert searrow setminus sharp shortmid shortparallel sigma sim simeq
    smallfrown smallint smallsetminus smallsmile smile spadesuit sphericalangle sqcap sqcup sqsubset
    sqsubseteq sqsupset sqsupseteq square star subset subseteq subseteqq subsetneq subsetneqq succ
    succapprox succcurlyeq succeq succnapprox succneqq succnsim succsim sum supset supseteq supseteqq
    supsetneq supsetneqq surd swarrow tau therefore theta thickapprox thicksim times to top triangle
    triangledown triangleleft trianglelefteq triangleq triangleright trianglerighteq twoheadleftarrow
    twoheadrightarrow ulcorner unlhd unrhd uparrow updownarrow upharpoonleft upharpoonright uplus upsilon
    upuparrows urcorner vDash varbigtriangledown varbigtriangleup varepsilon varkappa varnothing varphi
    varpi varpropto varrho varsigma varsubsetneq varsubsetneqq varsupsetneq varsupsetneqq vartheta
    vartriangle vartriangleleft vartriangleright vdash vdots vee veebar vert wedge wp wr xi zeta
    """
)

# Signs that look alike have one label; so have those of the keyboard and their commands.
SAME = _map(
    """
    le=leq ge=geq ne=neq to=rightarrow gets=leftarrow owns=ni land=wedge lor=vee lnot=neg ast=* prime='
    dag=dagger ddag=ddagger colon=: cdotp=cdot centerdot=cdot mid=| vert=| lvert=| rvert=| lVert=Vert
    rVert=Vert parallel=Vert lbrace={ rbrace=} lbrack=[ rbrack=] backslash=setminus smallsetminus=setminus
    implies=Longrightarrow impliedby=Longleftarrow iff=Longleftrightarrow smallint=int lhd=vartriangleleft
    rhd=vartriangleright triangleleft=vartriangleleft triangleright=vartriangleright Box=square
    Diamond=lozenge thicksim=sim thickapprox=approx leadsto=rightsquigarrow bigtriangleup=triangle
    """
)

# Names of functions, set upright letter by letter; those of the second kind take their marks below.
FUNCTIONS = _words(
    "arccos arcsin arctan arg cos cosh cot coth csc deg dim exp hom ker lg ln log sec sin sinh tan tanh"
)
LIMITS = _words("det gcd inf lim max min Pr sup liminf limsup")

# With an argument, and ink of their own: the command, and the sign's label.
ACCENTS = _map(
    """
    hat=hat widehat=hat tilde=tilde widetilde=tilde bar=bar overline=bar vec=vec overrightarrow=vec dot=dot
    ddot=ddot dddot=dddot check=check breve=breve acute=acute grave=grave mathring=mathring
    overleftarrow=overleftarrow overleftrightarrow=overleftrightarrow overbrace=overbrace
    underline=underline underbrace=underbrace underrightarrow=underrightarrow
    underleftarrow=underleftarrow
    """
)
ARROWS = _map("xrightarrow=rightarrow xleftarrow=leftarrow")

# Alphabets and weights: the command that sets them. Letters of some alphabets are signs of their own.
STYLES = _map(
    """
    mathrm=mathrm mathup=mathrm mathnormal=mathnormal mathit=mathit mathsf=mathsf mathtt=mathtt
    mathbf=mathbf boldsymbol=boldsymbol bm=boldsymbol pmb=boldsymbol mathbb=mathbb mathcal=mathcal
    mathscr=mathcal mathfrak=mathfrak
    """
)
DECLARED = _map("rm=mathrm it=mathit bf=mathbf sf=mathsf tt=mathtt cal=mathcal")
OWN_LETTERS = _words("mathbb mathcal mathfrak")
TEXTS = _words("text textrm textnormal textup textit textbf textsf texttt mbox hbox emph")
CLASSES = _words("mathop mathbin mathrel mathord mathopen mathclose mathpunct mathinner substack")
BARE = _words("boxed fbox smash ensuremath")  # what they hold is set without them
STACKS = _words("overset underset stackrel")

FRACTIONS = _words("frac dfrac tfrac cfrac")
BINOMIALS = _words("binom dbinom tbinom")
INFIX = _words("over atop choose")
SIZES = frozenset(size + side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m"))
DELIMITERS = _words(
    r"""
    ( ) [ ] | / . < > \{ \} \| \langle \rangle \lbrace \rbrace \lbrack \rbrack \vert \Vert \lvert \rvert
    \lVert \rVert \lfloor \rfloor \lceil \rceil \backslash \uparrow \downarrow \updownarrow \Uparrow
    \Downarrow \Updownarrow \ulcorner \urcorner \llcorner \lrcorner
    """
)

# Layout: left out of both formulas; of the second kind with what they hold.
LAYOUT = _words(
    """
    displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits displaylimits nonumber notag quad
    qquad enspace thinspace medspace thickspace negthinspace negmedspace negthickspace hfill hfil hline
    allowbreak nobreak strut mathstrut relax centering
    """
)
HIDDEN = _words("label tag hspace vspace phantom hphantom vphantom mspace color")

# Environments: the delimiters around them, and the one they are set with.
ENVIRONMENTS: dict[str, tuple[str, str, str]] = {
    **dict.fromkeys(_words("aligned align split eqnarray equation alignat alignedat"), ("", "aligned", "")),
    **dict.fromkeys(_words("gathered gather multline"), ("", "gathered", "")),
    **dict.fromkeys(_words("matrix smallmatrix array tabular subarray"), ("", "matrix", "")),
    **dict.fromkeys(_words("cases dcases"), (r"\{", "matrix", "")),
    "rcases": ("", "matrix", r"\}"),
    "pmatrix": ("(", "matrix", ")"),
    "bmatrix": ("[", "matrix", "]"),
    "vmatrix": ("|", "matrix", "|"),
    "Bmatrix": (r"\{", "matrix", r"\}"),
    "Vmatrix": (r"\|", "matrix", r"\|"),
}
WITH_COLUMNS = _words("array tabular subarray alignat alignedat")
