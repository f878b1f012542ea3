const main=document.querySelector("main");
async function fresh(){
  try{
    const answer=await fetch("/",{cache:"no-store"});
    const next=new DOMParser().parseFromString(await answer.text(),"text/html");
    const parts=next.querySelector("main").children;
    if(parts.length!==main.children.length)return location.reload();
    [...main.children].forEach((part,i)=>{  // what stays the same is left alone: focus, live region
      if(part.outerHTML===parts[i].outerHTML)return;
      part.className=parts[i].className;
      part.innerHTML=parts[i].innerHTML;
    });
    document.title=next.title;
  }catch(gone){document.getElementById("word").textContent="The daemon does not answer.";}
}
const pause=document.getElementById("pause");
pause.hidden=false;
setInterval(()=>{if(!document.hidden&&pause.getAttribute("aria-pressed")!=="true")fresh();},2000);
pause.onclick=()=>{
  const on=pause.getAttribute("aria-pressed")!=="true";
  pause.setAttribute("aria-pressed",on);
  pause.textContent=on?"Go on refreshing":"Pause refreshing";
};
